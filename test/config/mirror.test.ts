import { describe, expect, it } from 'vitest'
import { readConfig } from '../../src/config/load.ts'

const config = `
apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: 'a:1', mirror: true }
fallback:
  - { name: hub, images: ['docker.io/**'], try: ['a:1/{path}'] }
`

describe('the mirror section', () => {
  it.each([
    ["images: [{ image: 'Nginx' }]", 'is not a valid image'],
    ["images: [{ image: 'nginx:1', newest: 2 }]", 'remove one of them'],
    ["images: [{ image: nginx, semver: 'one' }]", 'is not a version range'],
    ["images: [{ image: nginx, tags: ['a b'] }]", 'neither a tag nor a glob'],
  ])('is rejected with %s', (section, message) => {
    const read = readConfig(`${config}mirror:\n  ${section}\n`, '/')

    const errors = read.ok ? [] : read.problems.filter(({ severity }) => severity === 'error')
    expect(errors[0]?.message).toContain(message)
    expect(errors[0]?.line).toBe(9)
  })
})
