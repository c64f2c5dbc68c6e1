import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../../../src/cli/run.ts'
import { type FakeRegistry, startFakeRegistry } from '../../support/registry.ts'
import { createTestCertificate } from '../../support/registry-tls.ts'

const directory = mkdtempSync(join(tmpdir(), 'berth-login-'))
let registry: FakeRegistry
/** Two addresses of the registry, as two hosts. */
let [mirror, upstream] = ['', '']

beforeAll(async () => {
  registry = await startFakeRegistry({ auth: { kind: 'basic', users: { me: 'own', pod: 'pull' } } })
  registry.addManifest({ repository: 'team/app', tag: '1' })
  registry.addManifest({ repository: 'copies/team/app', tag: '1' })
  const { port } = new URL(registry.url)
  mirror = `localhost:${port}`
  upstream = `127.0.0.1:${port}`
  writeConfig('berth.yaml', [mirror, `http://${mirror}`], [upstream, `http://${upstream}`])
  writeConfig('elsewhere.yaml', ['m.example', registry.url], ['up.example', registry.url])
  const login = { auth: Buffer.from('me:own').toString('base64') }
  const auths = { [mirror]: login, [upstream]: login, 'm.example': login, 'up.example': login }
  writeFileSync(join(directory, 'config.json'), JSON.stringify({ auths }))
})

function writeConfig(
  name: string,
  [mirrorHost, mirrorUrl]: readonly [string, string],
  [host, url]: readonly [string, string],
): void {
  const credentials = 'credentials: { secret: creds }, allowPlainHttpAuth: true'
  writeFileSync(
    join(directory, name),
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: '${mirrorHost}', endpoint: '${mirrorUrl}', mirror: true, ${credentials} }
  - { host: '${host}', endpoint: '${url}', ${credentials} }
fallback: [{ name: a, images: ['${host}/**'], try: ['${mirrorHost}/copies/{path}', '${host}/{path}'] }]
`,
  )
}

afterAll(() => registry.close())

/** Runs a command, and returns its exit code and the users that the registry saw. */
async function runCommand(
  argv: readonly string[],
  { secretsDir, dockerConfig = directory }: { secretsDir: string; dockerConfig?: string },
) {
  const before = registry.requests.length
  const io = {
    stdout: Object.assign(new PassThrough(), { isTTY: false }),
    stderr: Object.assign(new PassThrough(), { isTTY: true }),
    stdin: Readable.from([]),
    env: { DOCKER_CONFIG: dockerConfig },
    signal: new AbortController().signal,
  }
  const code = await run([...argv, '--secrets-dir', secretsDir], io)
  const users = registry.requests.slice(before).flatMap(({ headers }) => {
    const { authorization } = headers
    const given = authorization?.replace('Basic ', '')
    return given === undefined ? [] : [Buffer.from(given, 'base64').toString().split(':')[0] ?? '']
  })
  const text = String(io.stdout.read() ?? '')
  return { code, users: [...new Set(users)], text, messages: String(io.stderr.read() ?? '') }
}

function drift(secretsDir: string, dockerConfig = directory) {
  const argv = ['drift', `${upstream}/team/app:1`, '--config', join(directory, 'berth.yaml')]
  return runCommand(argv, { secretsDir, dockerConfig })
}

describe('a registry whose pull secret is in the cluster', () => {
  it("gets the caller's own docker login, if the secret is not mounted", async () => {
    expect(await drift('/nowhere')).toMatchObject({ code: 0, users: ['me'] })
  })

  it('gets no docker login at an endpoint that the config chose, and the message says how to use it', async () => {
    const argv = ['drift', 'up.example/team/app:1']
    const config = ['--config', join(directory, 'elsewhere.yaml')]
    const { code, users, messages } = await runCommand([...argv, ...config], {
      secretsDir: '/nowhere',
    })

    expect([code, users]).toEqual([3, []])
    expect(messages).toContain(
      'up.example: the pull secret creds is not mounted in /nowhere, and your docker login is not used, because its `endpoint` is another address; to use it, add credentials: { dockerConfig: FILE } to the registry',
    )
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
    expect(text).toContain(`${join(empty, 'config.json')} has no entry for ${upstream}`)
  })

  it('gets the pull secret, if it is mounted', async () => {
    const secret = join(directory, 'secrets/creds')
    mkdirSync(secret, { recursive: true })
    const login = { auth: Buffer.from('pod:pull').toString('base64') }
    const auths = { [mirror]: login, [upstream]: login }
    writeFileSync(join(secret, '.dockerconfigjson'), JSON.stringify({ auths }))

    expect(await drift(join(directory, 'secrets'))).toMatchObject({ code: 0, users: ['pod'] })
  })
})

describe('berth explain, for a registry whose pull secret is in the cluster', () => {
  const explain = (settings: string, secretsDir = '/nowhere') => {
    const { host } = new URL(registry.url)
    const mirror = settings.includes('m.example') ? 'm.example' : host
    const config = join(mkdtempSync(join(tmpdir(), 'berth-login-')), 'berth.yaml')
    const login = { auth: Buffer.from('me:own').toString('base64') }
    const dockerConfig = mkdtempSync(join(tmpdir(), 'berth-login-'))
    const auths = { [host]: login, 'm.example': login }
    writeFileSync(join(dockerConfig, 'config.json'), JSON.stringify({ auths }))
    writeFileSync(
      config,
      `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ mirror: true, credentials: { secret: creds }, allowPlainHttpAuth: true, ${settings} }]
fallback: [{ name: a, images: ['up.example/**'], try: ['${mirror}/{path}', 'up.example/{path}'] }]
`,
    )
    const argv = ['explain', 'up.example/team/app:1', '--config', config]
    return runCommand(argv, { secretsDir, dockerConfig })
  }
  const own = () => `host: '${new URL(registry.url).host}', endpoint: '${registry.url}'`

  it("uses the caller's own docker login, and says so", async () => {
    const { code, users, messages } = await explain(own())

    expect([code, users]).toEqual([0, ['me']])
    expect(messages).toMatch(
      /the pull secret creds is not mounted in \/nowhere; asking with your docker login in .*config\.json/,
    )
  })

  it('sends no login to an endpoint that the config chose, and says why', async () => {
    const { users, messages } = await explain(`host: m.example, endpoint: '${registry.url}'`)

    expect(users).toEqual([])
    expect(messages).toContain(
      'your docker login is not used, because its `endpoint` is another address',
    )
  })

  it('sends no login through a proxy of the config if its CA is in the config too', async () => {
    const { cert } = await createTestCertificate()
    const ca = join(mkdtempSync(join(tmpdir(), 'berth-login-')), 'ca.pem')
    writeFileSync(ca, cert)
    const { users, messages } = await explain(`${own()}, ca: ${ca}, proxy: '${registry.url}'`)

    expect(users).toEqual([])
    expect(messages).toContain('because it has a `ca` and a `proxy`')
  })

  it('uses the pull secret if it is mounted', async () => {
    const secretsDir = mkdtempSync(join(tmpdir(), 'berth-login-'))
    mkdirSync(join(secretsDir, 'creds'))
    const login = { auth: Buffer.from('pod:pull').toString('base64') }
    const auths = { [new URL(registry.url).host]: login }
    writeFileSync(join(secretsDir, 'creds/.dockerconfigjson'), JSON.stringify({ auths }))

    expect(await explain(own(), secretsDir)).toMatchObject({ code: 0, users: ['pod'] })
  })
})
