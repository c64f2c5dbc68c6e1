import { describe, expect, it } from 'vitest'
import { parseOptions } from '../../tools/release/options.ts'

describe('parseOptions', () => {
  it('names images after a reserved registry in a dry run, and pushes nothing', () => {
    expect(parseOptions(['--dry-run'])).toMatchObject({
      dryRun: true,
      registry: 'berth.invalid',
      endpoint: null,
      key: null,
    })
  })

  it.each(['http://127.0.0.1:5000', 'http://127.3.2.1:5000', 'http://[::1]:5000'])(
    'pushes to %s in a dry run',
    (endpoint) => {
      expect(parseOptions(['--dry-run', '--endpoint', endpoint])).toMatchObject({ endpoint })
    },
  )

  it.each(['https://ghcr.io', 'http://127.0.0.1.example', 'http://10.0.0.1:5000'])(
    'refuses to push to %s in a dry run',
    (endpoint) => {
      expect(() => parseOptions(['--dry-run', '--endpoint', endpoint])).toThrow('loopback')
    },
  )

  it.each([
    [[], '--registry'],
    [['--registry', 'ghcr.io/acme'], 'either --key FILE or --keyless'],
    [['--registry', 'ghcr.io/acme', '--key', 'a', '--keyless'], 'either --key FILE or --keyless'],
    [['--dry-run', '--keyless'], 'public log'],
  ])('refuses %j', (args, message) => {
    expect(() => parseOptions(args)).toThrow(message)
  })
})
