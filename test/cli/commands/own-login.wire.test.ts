import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../../../src/cli/run.ts'
import { terminal } from '../../support/io.ts'
import { type FakeRegistry, startFakeRegistry } from '../../support/registry.ts'

const directory = mkdtempSync(join(tmpdir(), 'berth-login-'))
let registry: FakeRegistry

beforeAll(async () => {
  registry = await startFakeRegistry({ auth: { kind: 'basic', users: { me: 'own', pod: 'pull' } } })
  registry.addManifest({ repository: 'team/app', tag: '1' })
  registry.addManifest({ repository: 'copies/team/app', tag: '1' })
  writeFileSync(
    join(directory, 'berth.yaml'),
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: 'm.example', endpoint: '${registry.url}', mirror: true, credentials: { secret: creds }, allowPlainHttpAuth: true }
  - { host: up.example, endpoint: '${registry.url}', credentials: { secret: creds }, allowPlainHttpAuth: true }
fallback: [{ name: a, images: ['up.example/**'], try: ['m.example/copies/{path}', 'up.example/{path}'] }]
`,
  )
  const login = { auth: Buffer.from('me:own').toString('base64') }
  const auths = { 'm.example': login, 'up.example': login }
  writeFileSync(join(directory, 'config.json'), JSON.stringify({ auths }))
})

afterAll(() => registry.close())

/** Runs `berth drift`, and returns its exit code and the users that the registry saw. */
async function drift(secretsDir: string, dockerConfig = directory) {
  const before = registry.requests.length
  const io = {
    stdout: Object.assign(new PassThrough(), { isTTY: false }),
    stderr: terminal(),
    stdin: Readable.from([]),
    env: { DOCKER_CONFIG: dockerConfig },
    signal: new AbortController().signal,
  }
  const config = join(directory, 'berth.yaml')
  const options = ['--config', config, '--secrets-dir', secretsDir]
  const code = await run(['drift', 'up.example/team/app:1', ...options], io)
  const users = registry.requests.slice(before).flatMap(({ headers }) => {
    const { authorization } = headers
    const given = authorization?.replace('Basic ', '')
    return given === undefined ? [] : [Buffer.from(given, 'base64').toString().split(':')[0] ?? '']
  })
  return { code, users: [...new Set(users)], text: String(io.stdout.read() ?? '') }
}

describe('a registry whose pull secret is in the cluster', () => {
  it("gets the caller's own docker login, if the secret is not mounted", async () => {
    expect(await drift('/nowhere')).toMatchObject({ code: 0, users: ['me'] })
  })

  it('gets nothing without either, and the message names both', async () => {
    const { code, users, text } = await drift('/nowhere', '/nowhere')

    expect([code, users]).toEqual([3, []])
    expect(text).toContain('mount it at /nowhere/creds, or run `docker login` on this machine')
  })

  it('gets nothing from a docker login for other registries, and the message names its file', async () => {
    const empty = mkdtempSync(join(tmpdir(), 'berth-login-'))
    writeFileSync(join(empty, 'config.json'), '{"auths":{}}')
    const { code, users, text } = await drift('/nowhere', empty)

    expect([code, users]).toEqual([3, []])
    expect(text).toContain(`${join(empty, 'config.json')} has no entry for up.example`)
  })

  it('gets the pull secret, if it is mounted', async () => {
    const secret = join(directory, 'secrets/creds')
    mkdirSync(secret, { recursive: true })
    const login = { auth: Buffer.from('pod:pull').toString('base64') }
    const auths = { 'm.example': login, 'up.example': login }
    writeFileSync(join(secret, '.dockerconfigjson'), JSON.stringify({ auths }))

    expect(await drift(join(directory, 'secrets'))).toMatchObject({ code: 0, users: ['pod'] })
  })
})
