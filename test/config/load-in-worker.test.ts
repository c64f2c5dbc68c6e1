import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Config } from '../../src/config/config.ts'
import type { BerthError } from '../../src/errors.ts'
import { loadConfig } from '../../src/config/load.ts'
import { loadConfigInWorker } from '../../src/config/load-in-worker.ts'
import { selectCandidates } from '../../src/decision/fallback/table.ts'
import { parseReference } from '../../src/decision/reference/parse.ts'
import { createTestCertificate } from '../support/registry-tls.ts'

const directory = mkdtempSync(join(tmpdir(), 'berth-test-'))

function put(name: string, text: string): string {
  const file = join(directory, name)
  writeFileSync(file, text)
  return file
}

const load = (file: string) => loadConfigInWorker(file)

/** Functions are compared by what they return below. */
function withoutFunctions(config: Config): unknown {
  return JSON.parse(
    JSON.stringify(config, (_, value: unknown) =>
      value instanceof Map || value instanceof Set ? [...value] : value,
    ),
  )
}

describe('loadConfigInWorker', () => {
  it('returns the config that loadConfig returns', async () => {
    put('ca.pem', (await createTestCertificate()).cert)
    put(
      'berth.lock',
      `apiVersion: berth.dev/v1alpha1
kind: BerthLock
images:
  - { image: docker.io/library/a:1, digest: 'sha256:${'a'.repeat(64)}', from: docker.io, date: '2026-11-21' }
`,
    )
    const file = put(
      'full.yaml',
      `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: anubis:32000, endpoint: 'https://10.0.0.5:5000/prefix', nodeEndpoint: 'http://anubis:5000', mirror: true, ca: ca.pem }
  - { host: 123456789012.dkr.ecr.eu-west-1.amazonaws.com, credentials: { ecr: {} } }
fallback:
  - { name: owned, when: { namespaces: ['team-*'] }, images: ['ghcr.io/**'], leave: true }
  - { name: hub, images: ['docker.io/**'], tags: { latest: '1' }, try: ['anubis:32000/{host}/{path}', 'docker.io/{path}'], pin: { tags: ['1*'] } }
pin: { tags: ['v*'], lock: berth.lock }
pullPolicy: [{ images: ['docker.io/**'], set: IfNotPresent }]
pullSecrets: [{ registries: [anubis:32000], secret: pull }]
mirror: { images: [{ image: docker.io/library/a, tags: ['1.*'] }] }
pullSecretCopies: { copies: [{ name: pull, from: [infra/pull], namespaces: ['shop-*'] }] }
workloads: [{ kind: argoproj.io/Rollout, pod: spec.template, images: ['spec.steps[].image'] }]
tests: [{ image: nginx, expect: 'anubis:32000/docker.io/library/nginx:1' }]
`,
    )
    const [here, there] = [loadConfig(file), await load(file)]
    const parsed = parseReference('docker.io/library/a:1')
    if (!parsed.ok) throw new Error(parsed.message)
    const { reference } = parsed

    expect(withoutFunctions(there)).toEqual(withoutFunctions(here))
    expect(Object.keys(there).toSorted()).toEqual(Object.keys(here).toSorted())
    expect(there.registries.get('anubis:32000')?.endpoint).toEqual(
      new URL('https://10.0.0.5:5000/prefix'),
    )
    expect(there.pin.locked(reference)).toBe(`sha256:${'a'.repeat(64)}`)
    expect(there.pin.matches('v1')).toBe(true)
    expect(there.pullSecrets.map(({ matches }) => matches(reference))).toEqual([false])
    for (const namespace of ['team-a', 'other']) {
      const pod = { namespace, labels: {}, owners: [] }
      const candidates = (config: Config) =>
        selectCandidates(config.table, reference, pod).candidates.map(({ image }) => image)
      expect(candidates(there)).toEqual(candidates(here))
    }
  })

  it.each([
    ['a missing file', '/nowhere/berth.yaml'],
    ['YAML that does not parse', put('syntax.yaml', 'a: [')],
    ['a wrong key', put('key.yaml', 'apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\nmod: x\n')],
    ['a text that is too long', put('long.yaml', '#'.repeat(2_000_000))],
    ['a text that is too deep', put('deep.yaml', '['.repeat(300_000))],
  ])('rejects %s with the error of loadConfig', async (_, file) => {
    const error = ((): unknown => {
      try {
        return loadConfig(file)
      } catch (thrown) {
        return thrown
      }
    })()

    await expect(load(file)).rejects.toMatchObject({
      name: 'BerthError',
      code: (error as BerthError).code,
      message: (error as BerthError).message,
    })
  })

  it('rejects when the signal aborts', async () => {
    const file = put('any.yaml', 'apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\n')
    const stop = new AbortController()
    const loading = loadConfigInWorker(file, stop.signal)
    stop.abort(new Error('stopped'))

    await expect(loading).rejects.toThrow('aborted')
    // The process of the tests ends after both workers.
    await load(file)
  })
})
