import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { berth } from '../../support/io.ts'

let config: string

beforeAll(() => {
  config = join(mkdtempSync(join(tmpdir(), 'berth-test-')), 'berth.yaml')
  writeFileSync(
    config,
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: anubis.invalid:32000, mirror: true }]
fallback: [{ name: hub, images: ['docker.io/**'], try: ['anubis.invalid:32000/{path}'] }]
`,
  )
})

const run = (verb: string, ...args: string[]) => berth([verb, '--config', config, ...args])

describe('numbers on the command line', () => {
  const values = [
    '0',
    '-1',
    'NaN',
    '1e3',
    '1.5',
    '',
    '0x10',
    'Infinity',
    '99999999999999999999',
    ' 1',
  ]
  it.each(['mirror', 'drift'].flatMap((verb) => values.map((value) => [verb, value] as const)))(
    '%s --jobs rejects %j',
    async (verb, value) => {
      const { code, stderr } = await run(verb, `--jobs=${value}`)

      expect(code).toBe(2)
      expect(stderr).toContain('Give a whole number from 1 to 256.')
    },
  )

  it.each([
    ['mirror', '--quota-floor'],
    ['serve', '--port'],
    ['serve', '--metrics-port'],
    ['dev', '--port'],
  ])('%s %s rejects what is not a whole number in its range', async (verb, option) => {
    for (const value of values.filter((each) => each !== '0')) {
      const { code, stderr } = await run(verb, `${option}=${value}`)

      expect(code).toBe(2)
      expect(stderr).toMatch(/Give a whole number from 0 to [0-9]+\./)
    }
  })
})

describe('two names of berth mirror', () => {
  it('are two images if the second one is on no mirror, and the message says how to write a pair', async () => {
    const { code, stderr } = await run('mirror', 'ghcr.io/a/b:1', 'other.invalid/b:1')

    expect(code).toBe(1)
    expect(stderr).toContain(
      'ghcr.io/a/b:1: no row has a mirror for it; to copy one image to the other, write ghcr.io/a/b:1=other.invalid/b:1, or use --pair',
    )
  })

  it.each([['one:1'], ['one:1', 'two:1', 'three:1'], ['one:1=two:1', 'three:1'], ['-', 'two:1']])(
    'are required by --pair: %j %j %j',
    async (...names) => {
      const { code, stderr } = await run('mirror', '--pair', ...names)

      expect(code).toBe(2)
      expect(stderr).toContain('--pair needs two image names: SOURCE DESTINATION')
    },
  )
})

describe('berth mirror --dry-run --no-probe', () => {
  it('lists the images and their destinations, and contacts no registry', async () => {
    const text = await run('mirror', '--dry-run', '--no-probe', 'nginx:1', 'redis:7')
    const json = await run('mirror', '--dry-run', '--no-probe', '-o', 'json', 'nginx:1')

    expect(text).toMatchObject({
      code: 0,
      stdout:
        'docker.io/library/nginx:1  →  anubis.invalid:32000/library/nginx:1\n  planned: no registry was asked\n' +
        'docker.io/library/redis:7  →  anubis.invalid:32000/library/redis:7\n  planned: no registry was asked\n',
      stderr: '2 planned; no registry was asked, so the mirrors may have them\n',
    })
    expect(JSON.parse(json.stdout)).toMatchObject({
      destination: 'anubis.invalid:32000/library/nginx:1',
      status: 'planned',
      sourceDigest: null,
    })
  })

  it('exits with 1 for an image without a mirror', async () => {
    expect(await run('mirror', '--dry-run', '--no-probe', 'quay.io/a/b:1')).toMatchObject({
      code: 1,
    })
  })

  it('needs --dry-run', async () => {
    expect(await run('mirror', '--no-probe', 'nginx:1')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--no-probe needs --dry-run') as string,
    })
  })
})
