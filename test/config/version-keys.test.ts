import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { runConfigTests } from '../../src/config/config-tests.ts'
import { readConfig } from '../../src/config/load.ts'
import { findNewerKeys, keysAfter } from '../../src/config/version-keys.ts'

type Schema = Readonly<Record<string, unknown>>

const schema = (path: string) =>
  JSON.parse(readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')) as Schema
const oldSchema = schema('test/fixtures/versions/berth-0.1.0.schema.json')
const newSchema = schema('webhook-config/berth.schema.json')

/** Returns every key that a schema allows, such as `fallback[].try`. */
function keysOf(root: Schema): string[] {
  const keys = new Set<string>()
  const walk = (schema: Schema, path: string): void => {
    const { $ref, properties, items, ...rest } = schema
    if (typeof $ref === 'string') {
      const target = $ref.slice(2).split('/')
      return walk(
        target.reduce((at, name) => at[name] as Schema, root),
        path,
      )
    }
    for (const [name, value] of Object.entries((properties ?? {}) as Record<string, Schema>)) {
      const key = path === '' ? name : `${path}.${name}`
      keys.add(key)
      walk(value, key)
    }
    if (typeof items === 'object' && items !== null) walk(items as Schema, `${path}[]`)
    for (const name of ['anyOf', 'oneOf', 'allOf'])
      for (const each of (rest[name] ?? []) as readonly Schema[]) walk(each, path)
  }
  walk(root, '')
  return [...keys]
}

/** The examples and the documentation of 0.1.0. The first line of each says where it is from. */
const oldConfigs = readFileSync(
  new URL('../fixtures/versions/configs-0.1.0.yaml', import.meta.url),
  'utf8',
)
  .split(/^---$/m)
  .map((text): [string, string] => [text.trim().split('\n')[0]?.slice(2) ?? '', text])

describe('keysAfter', () => {
  it('has every key that version 0.1.0 lacks', () => {
    const known = new Set(keysOf(oldSchema))
    const added = keysOf(newSchema).filter((key) => !known.has(key))
    const isBelow = (key: string, above: string) =>
      key !== above && /^[.[]/.test(key.slice(above.length)) && key.startsWith(above)
    const topmost = added.filter((key) => !added.some((above) => isBelow(key, above)))

    expect(known.size).toBeGreaterThan(80)
    expect(topmost.toSorted()).toEqual([...keysAfter['0.1.0']].sort())
  })

  it('loses no key of version 0.1.0', () => {
    const known = new Set(keysOf(newSchema))

    expect(keysOf(oldSchema).filter((key) => !known.has(key))).toEqual([])
  })
})

describe('findNewerKeys', () => {
  it('names keys and templates that version 0.1.0 rejects, with their places', () => {
    const text = `registries:
  - { host: m.corp, mirror: true }
  - { host: n.corp, proxy: none }
fallback:
  - { name: a, images: ['a/**'], try: ['m.corp/{path}', 'm.corp/{rest}'] }
  - { name: b, images: ['b/**'], leave: true, when: { namespaces: [x] } }
reports: { openReports: true }
`
    const problems = findNewerKeys('0.1.0', text)

    expect(problems.map(({ path, line, severity }) => ({ path, line, severity }))).toEqual([
      { path: 'registries[1].proxy', line: 3, severity: 'error' },
      { path: 'fallback[1].when', line: 6, severity: 'error' },
      { path: 'fallback[1].leave', line: 6, severity: 'error' },
      { path: 'reports', line: 7, severity: 'error' },
      { path: 'fallback[0].try[1]', line: 5, severity: 'error' },
    ])
    expect(problems[4]?.message).toBe(
      'Berth 0.1.0 does not know {rest}; remove it before you go back to that version',
    )
  })

  it.each(oldConfigs)('finds nothing in %s', (_, text) => {
    expect(findNewerKeys('0.1.0', text)).toEqual([])
  })
})

describe('a config for version 0.1.0', () => {
  it.each(oldConfigs)('is valid, and its tests pass: %s', (_, text) => {
    const result = readConfig(text, '/')

    expect(result).toMatchObject({ ok: true })
    const failed = result.ok && runConfigTests(result.config).filter(({ failure }) => failure)
    expect(failed).toEqual([])
  })
})
