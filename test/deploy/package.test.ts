import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { satisfies, subset } from 'semver'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

interface Package {
  readonly engines?: { readonly node?: string }
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
}

const readPackage = (directory: string) =>
  JSON.parse(readFileSync(join(root, directory, 'package.json'), 'utf8')) as Package

describe('package.json', () => {
  const { engines, dependencies, devDependencies } = readPackage('.')
  const supported = engines?.node ?? ''

  it('supports only versions of Node.js that every dependency supports', () => {
    const tooNew = Object.keys(dependencies).filter((name) => {
      const needed = readPackage(`node_modules/${name}`).engines?.node
      return needed !== undefined && !subset(supported, needed)
    })

    expect(tooNew).toEqual([])
  })

  it('brings a Node.js of the major version in .nvmrc', () => {
    const major = readFileSync(join(root, '.nvmrc'), 'utf8').trim()

    expect(devDependencies['node']).toMatch(new RegExp(`^${major}\\.`))
  })

  it('names the oldest version that bin/berth.js accepts', () => {
    const text = readFileSync(join(root, 'bin/berth.js'), 'utf8')
    const [, major, minor] = /major === (\d+) && minor >= (\d+)/.exec(text) ?? []

    expect(supported).toBe(`>=${major}.${minor}.0`)
    expect(satisfies(`${devDependencies['node']}`, supported)).toBe(true)
  })
})
