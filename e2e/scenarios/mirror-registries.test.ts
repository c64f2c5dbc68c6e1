import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeClientCertificate } from '../../test/support/client-certificate.ts'
import { referrersTag } from '../../src/registry/manifests/referrers.ts'
import {
  bundleType,
  ecdsaKey,
  keyBundle,
  signatureStatement,
  signBytes,
  simpleSigningPayload,
} from '../../test/support/cosign.ts'
import { runBerth } from '../harness/berth-cli.ts'
import { currentCluster } from '../harness/cluster.ts'
import type { CommandResult } from '../harness/command.ts'
import { deleteManifest, pushImage, pushIndex } from '../harness/images.ts'
import { type Nginx, startNginx } from '../harness/nginx.ts'
import { type Registry, startRegistry } from '../harness/registry.ts'
import {
  digestOfTag,
  oci,
  pushBlob,
  pushManifest,
  type Repository,
} from '../harness/registry-client.ts'
import { certificateName } from '../harness/server-certificate.ts'
import { startTinyproxy, type Tinyproxy } from '../harness/tinyproxy.ts'
import { startTokenServer, type TokenServer } from '../harness/token-server.ts'

/** `berth mirror` with registries of every kind: open, with a password, with tokens, read-only, and a pull-through cache. */
const cluster = currentCluster()
const directory = join(cluster.runDir, 'mirror-registries')
const account = { username: 'me', password: 'se:cret' }
const repository = 'team/app'

let upstream: Registry
let open: Registry
let guarded: Registry
let tokens: TokenServer
let tokened: Registry
let readOnly: Registry
let cache: Registry
let windows: Registry
let digest: string

beforeAll(async () => {
  mkdirSync(directory, { recursive: true })
  upstream = await startRegistry(cluster, { name: 'mr-upstream' })
  open = await startRegistry(cluster, { name: 'mr-open' })
  guarded = await startRegistry(cluster, { name: 'mr-guarded', htpasswd: account })
  tokens = await startTokenServer(cluster.address, join(directory, 'token.crt'), account)
  tokened = await startRegistry(cluster, { name: 'mr-tokened', token: tokens.settings })
  readOnly = await startRegistry(cluster, { name: 'mr-read-only', readOnly: true })
  cache = await startRegistry(cluster, { name: 'mr-cache', proxy: { url: upstream.url } })
  windows = await startRegistry(cluster, { name: 'mr-windows', foreignUrls: '^https://' })
  const content = Buffer.alloc(3_000_000, 'layer')
  const pushed = await pushIndex({ registry: upstream.url, repository, tag: '1', content })
  digest = pushed.digest
  // Another repository with the same layer, which `berth mirror` mounts.
  await pushImage({ registry: upstream.url, repository: 'team/other', tag: '1', content })
})

afterAll(async () => {
  await tokens?.close()
  const all = [upstream, open, guarded, tokened, readOnly, cache, windows]
  await Promise.all(all.map((registry) => registry?.stop()))
})

function configFor(password: string): string {
  const pair = Buffer.from(`${account.username}:${password}`).toString('base64')
  const auths = { [guarded.host]: { auth: pair }, [tokened.host]: { auth: pair } }
  const secrets = join(directory, `docker-${password.length}.json`)
  writeFileSync(secrets, JSON.stringify({ auths }))
  const all = [upstream, open, guarded, tokened, readOnly, cache, windows]
  const registries = all.map(({ host, url }) => {
    const isPrivate = host === guarded.host || host === tokened.host
    const realm = JSON.stringify(new URL(tokens.settings.realm).host)
    const more = isPrivate
      ? `, credentials: { dockerConfig: '${secrets}' }, authHosts: [${realm}]`
      : ''
    return `  - { host: '${host}', endpoint: '${url}', mirror: true, allowPlainHttpAuth: true${more} }`
  })
  const file = join(directory, `berth-${password.length}.yaml`)
  const head = 'apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\nregistries:\n'
  writeFileSync(file, `${head}${registries.join('\n')}\n`)
  return file
}

async function mirror(
  to: Registry,
  from = upstream,
  password = account.password,
): Promise<CommandResult> {
  const pairs = [repository, 'team/other'].map(
    (name) => `${from.host}/${name}:1=${to.host}/${name}:1`,
  )
  const args = ['mirror', ...pairs, '--config', configFor(password), '-o', 'json']
  return runBerth(args)
}

test.each([
  ['an open registry', () => open, undefined],
  ['a registry with a password', () => guarded, account],
])('copies to %s, and the shared layer only once', async (_, which, auth) => {
  const to = which()
  const { code, stderr } = await mirror(to)
  const log = await to.accessLog()
  const uploaded = log.filter(
    (line) => /"PUT \S*\/blobs\/uploads\//.test(line) && line.includes(' 201 '),
  )

  expect({ code, stderr }).toMatchObject({ code: 0 })
  expect(await digestOfTag({ registry: to.url, repository, ...(auth && { auth }) }, '1')).toBe(
    digest,
  )
  // One layer and the configs of two platforms; the config of the other image is one of these.
  expect(uploaded).toHaveLength(3)
})

test('copies to a registry with tokens, with the scopes that it needs and no others', async () => {
  const { code, stderr } = await mirror(tokened)
  const again = await mirror(tokened)

  expect({ code, stderr }).toMatchObject({ code: 0 })
  expect(again.code).toBe(0)
  expect(new Set(tokens.granted.map((scopes) => scopes.join(' ')))).toEqual(
    new Set([
      'repository:team/app:pull,push',
      'repository:team/other:pull,push',
      expect.stringMatching(
        /^repository:team\/(app|other):pull,push repository:team\/(app|other):pull$/,
      ) as string,
    ]),
  )
})

test.each([
  ['a wrong password', () => guarded, /401/],
  ['a wrong password for tokens', () => tokened, /401/],
])('reports %s without printing the password', async (_, which, reason) => {
  const { code, stdout, stderr } = await mirror(which(), upstream, 'wrong-password')

  expect(code).toBe(1)
  expect(stdout).toMatch(reason)
  expect(stdout + stderr).not.toMatch(/wrong-password|se:cret/)
})

test('reports a read-only mirror', async () => {
  const { code, stdout } = await mirror(readOnly)

  expect(code).toBe(1)
  expect(stdout).toMatch(/405/)
})

test('copies from a pull-through cache', async () => {
  const { code } = await mirror(open, cache)

  expect(code).toBe(0)
})

test('copies images of a host with a port to one path component, and never pushes to a pull-through cache', async () => {
  const pushed = await pushIndex({
    registry: upstream.url,
    repository: 'ported/app',
    tag: '1',
    content: 'ported',
  })
  const config = join(directory, 'ported.yaml')
  writeFileSync(
    config,
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: '${upstream.host}', endpoint: '${upstream.url}' }
  - { host: '${cache.host}', endpoint: '${cache.url}', mirror: true, copy: false }
  - { host: '${open.host}', endpoint: '${open.url}', mirror: true }
fallback:
  - { name: all, images: ['**'], try: ['${open.host}/{host}/{rest}', '${cache.host}/{path}'] }
`,
  )
  const image = `${upstream.host}/ported/app:1`
  const component = upstream.host.replace(':', '-')
  const { code, stdout, stderr } = await runBerth(['mirror', image, '--config', config])
  const drift = await runBerth(['drift', image, '--config', config])
  const explained = await runBerth(['explain', image, '--config', config, '-o', 'json'])

  expect({ code, stdout, stderr }).toMatchObject({ code: 0 })
  expect(await digestOfTag({ registry: open.url, repository: `${component}/app` }, '1')).toBe(
    pushed.digest,
  )
  expect(stdout).not.toContain(cache.host)
  expect(drift).toMatchObject({
    code: 0,
    stdout: expect.stringContaining(`${cache.host}/ported/app:1`) as string,
  })
  expect(JSON.parse(explained.stdout)).toMatchObject([
    { chosen: `${open.host}/${component}/app:1` },
  ])
})

test('names the platform that was deleted from an index, and finds what the mirror lost', async () => {
  const repositoryOf = (registry: Registry) => ({
    registry: registry.url,
    repository: 'team/holes',
  })
  const { manifests } = await pushIndex({ ...repositoryOf(upstream), tag: '1', content: 'holes' })
  const arm64 = manifests['linux/arm64'] ?? ''
  const names = [`${upstream.host}/team/holes:1`, `${open.host}/team/holes:1`]
  const config = ['--config', configFor(account.password)]
  await runBerth(['mirror', ...names, ...config])
  await deleteManifest(repositoryOf(open), arm64)
  const shallow = await runBerth(['drift', ...names, ...config])
  const deep = await runBerth(['drift', ...names, ...config, '--deep'])
  const repaired = await runBerth(['drift', ...names, ...config, '--deep', '--update'])
  await deleteManifest(repositoryOf(upstream), arm64)
  const hole = await runBerth([
    'mirror',
    names[0] ?? '',
    `${open.host}/team/other-holes:1`,
    ...config,
  ])

  expect(shallow).toMatchObject({ code: 0, stdout: expect.stringContaining('same') as string })
  expect(deep).toMatchObject({ code: 1, stdout: expect.stringContaining('broken') as string })
  expect(deep.stdout).toContain('lists linux/arm64')
  expect(repaired).toMatchObject({ code: 0, stdout: expect.stringContaining('repaired') as string })
  expect(hole.code).toBe(1)
  expect(hole.stdout).toMatch(/lists linux\/arm64 \(sha256:\w+\) that \S+ does not have/)
})

test('copies one platform under another digest, which drift understands', async () => {
  const names = [`${upstream.host}/${repository}:1`, `${open.host}/one-platform/app:1`]
  const config = ['--config', configFor(account.password)]
  const copied = await runBerth(['mirror', ...names, ...config, '--platform', 'linux/arm64'])
  const drift = await runBerth(['drift', ...names, ...config, '--deep'])
  const served = await digestOfTag({ registry: open.url, repository: 'one-platform/app' }, '1')

  expect(copied.code).toBe(0)
  expect(copied.stdout).toContain(
    `copied: ${served?.slice(0, 19)} instead of ${digest.slice(0, 19)} upstream, linux/arm64`,
  )
  expect(drift).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('the mirror has only linux/arm64') as string,
  })
})

test('copies foreign layers that the source has, and names the setting of a mirror that refuses their URLs', async () => {
  const from = { registry: windows.url, repository: 'team/windows' }
  const digest = await pushForeignLayer(from)
  const config = ['--config', configFor(account.password)]
  const source = `${windows.host}/team/windows:1`
  const copied = await runBerth(['mirror', source, `${windows.host}/copy/windows:1`, ...config])
  const refused = await runBerth(['mirror', source, `${open.host}/team/windows:1`, ...config])

  expect(copied).toMatchObject({ code: 0, stdout: expect.stringContaining('copied') as string })
  expect(await digestOfTag({ ...from, repository: 'copy/windows' }, '1')).toBe(digest)
  expect(refused.code).toBe(1)
  expect(refused.stdout).toMatch(
    /foreign layer sha256:\w+ with a URL on vendor\.example; allow it there with validation\.manifests\.urls\.allow/,
  )
})

/** Pushes an image with a foreign layer. Returns its digest. */
async function pushForeignLayer(to: Repository): Promise<string> {
  const config = await pushBlob(to, oci.config, Buffer.from('{"os":"windows"}'))
  const layer = await pushBlob(to, oci.layer, Buffer.from('foreign layer'))
  const mediaType = 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip'
  const layers = [{ ...layer, mediaType, urls: ['https://vendor.example/layer'] }]
  return (await pushManifest(to, oci.manifest, { config, layers }, '1')).digest
}

describe('nginx in front of the mirror', () => {
  const proxies: Nginx[] = []
  afterAll(() => Promise.all(proxies.map((proxy) => proxy.stop())))

  async function pushThrough(name: string, options: Parameters<typeof startNginx>[1]) {
    const proxy = await startNginx(cluster, options)
    proxies.push(proxy)
    const ca = proxy.certificate === '' ? '' : `, ca: '${proxy.certificate}'`
    const file = join(directory, `${name}.yaml`)
    writeFileSync(
      file,
      `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: '${upstream.host}', endpoint: '${upstream.url}' }
  - { host: 'proxy.example', endpoint: '${proxy.url}', mirror: true${ca} }
`,
    )
    const pair = [`${upstream.host}/team/large:1`, `proxy.example/${name}/large:1`]
    const { code, stdout } = await runBerth(['mirror', ...pair, '--config', file])
    return { code, stdout, log: await proxy.accessLog() }
  }

  beforeAll(() =>
    pushImage({
      registry: upstream.url,
      repository: 'team/large',
      tag: '1',
      content: randomBytes(9 * 1024 * 1024),
    }),
  )

  test.each([
    ['tls', 'terminates TLS with its default limit of 1 MiB', { tls: true }, 9],
    ['prefix', 'adds a path prefix', { prefix: '/cache/hub' }, 9],
    ['larger', 'accepts 5 MiB', { directives: 'client_max_body_size 5m;' }, 2],
    ['unlimited', 'has no limit', { directives: 'client_max_body_size 0;' }, 0],
  ] as const)('%s: gets the image if it %s', async (name, _, options, patches) => {
    const { code, stdout, log } = await pushThrough(name, { name, upstream: open.url, ...options })

    expect({ code, stdout }).toMatchObject({ code: 0 })
    expect(log.filter((line) => /^PATCH .* 202$/.test(line))).toHaveLength(patches)
    expect(await digestOfTag({ registry: open.url, repository: `${name}/large` }, '1')).toBe(
      await digestOfTag({ registry: upstream.url, repository: 'team/large' }, '1'),
    )
  })

  test('is named in the error if it limits requests to less than 1 MiB', async () => {
    const options = { name: 'small', upstream: open.url, directives: 'client_max_body_size 500k;' }
    const { code, stdout } = await pushThrough('small', options)

    expect(code).toBe(1)
    expect(stdout).toContain('limits the size of requests (nginx: client_max_body_size)')
  })
})

describe('a forward proxy', () => {
  let forward: Tinyproxy
  let nginx: Nginx
  let config: string
  /** Names that only the proxy resolves: loopback addresses never go through a proxy. */
  let source: string
  let target: string

  beforeAll(async () => {
    forward = await startTinyproxy(cluster, {
      name: 'mr',
      hosts: ['upstream.test', certificateName],
    })
    nginx = await startNginx(cluster, { name: 'mr-tls', upstream: open.url, tls: true })
    source = `upstream.test:${new URL(upstream.url).port}`
    target = `${certificateName}:${new URL(nginx.url).port}`
    config = join(directory, 'forward.yaml')
    writeFileSync(
      config,
      `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: '${upstream.host}', endpoint: 'http://${source}' }
  - { host: tls.example, endpoint: 'https://${target}', mirror: true, ca: '${nginx.certificate}' }
fallback: [{ name: all, images: ['**'], try: ['tls.example/{path}'] }]
`,
    )
  })

  afterAll(async () => {
    await Promise.all([forward?.stop(), nginx?.stop()])
  })

  function environment(password: string): Record<string, string> {
    const url = `http://${forward.user}:${password}@${forward.host}`
    return { HTTP_PROXY: url, https_proxy: url }
  }

  async function mirrorThrough(env: Record<string, string>, name: string) {
    const pair = [`${upstream.host}/${repository}:1`, `tls.example/${name}:1`]
    return runBerth(['mirror', ...pair, '--config', config], { env })
  }

  test('carries reads over http and writes over https', async () => {
    const { code, stdout, stderr } = await mirrorThrough(environment(forward.password), 'fw/app')
    const requests = await forward.requests()

    expect({ code, stdout, stderr }).toMatchObject({ code: 0 })
    expect(await digestOfTag({ registry: open.url, repository: 'fw/app' }, '1')).toBe(digest)
    expect(requests).toContain(`GET http://${source}/v2/${repository}/manifests/${digest}`)
    expect(requests).toContain(`CONNECT ${target}`)
    expect(stdout + stderr).not.toContain(forward.password)
  })

  test('is named in the error if it rejects the password, and by berth explain', async () => {
    const refused = await mirrorThrough(environment('WrongWord'), 'fw/refused')
    const args = ['explain', 'fw/app:1', '--config', config]
    const explained = await runBerth(args, { env: environment(forward.password) })

    expect(refused.code).toBe(3)
    expect(refused.stdout + refused.stderr).toContain(
      `the proxy http://${forward.host} rejects the user name and password in its URL (401)`,
    )
    expect(refused.stdout + refused.stderr).not.toContain('WrongWord')
    expect(explained.stdout).toMatch(/tls\.example\/fw\/app:1 +found/)
    expect(explained.stdout).toContain(`proxy http://${forward.host}`)
  })

  test('is named in the error if it cannot reach the registry, and not used for hosts of NO_PROXY', async () => {
    const env = environment(forward.password)
    const before = (await forward.requests()).length
    const direct = await mirrorThrough({ ...env, NO_PROXY: '.test' }, 'fw/direct')
    expect(direct.stdout + direct.stderr).toMatch(/no such host \w+\.test|no DNS server answered/)
    expect(await forward.requests()).toHaveLength(before)

    await nginx.stop()
    const { stdout, stderr } = await mirrorThrough(env, 'fw/gone')
    expect(stdout + stderr).toContain(`the proxy http://${forward.host} cannot connect to`)
  })
})

describe('a registry that requires a client certificate (nginx)', () => {
  let nginx: Nginx
  const file = (name: string) => join(directory, name)

  async function writeClient(name: string, caName: string): Promise<void> {
    const { ca, client } = await makeClientCertificate('berth.example', caName)
    writeFileSync(file(`${name}-ca.pem`), ca.cert)
    writeFileSync(file(`${name}.pem`), client.cert)
    writeFileSync(file(`${name}-key.pem`), client.key, { mode: 0o600 })
  }

  beforeAll(async () => {
    await Promise.all([writeClient('good', 'callers'), writeClient('wrong', 'others')])
    nginx = await startNginx(cluster, {
      name: 'mr-client',
      upstream: open.url,
      tls: true,
      directives: `ssl_verify_client on; ssl_client_certificate ${file('good-ca.pem')}; client_max_body_size 0;`,
    })
  })

  afterAll(() => nginx?.stop())

  test.each([
    ['the certificate', 'good', 0, 'copied'],
    ['none', null, 1, 'requires a client certificate'],
    ['one of another CA', 'wrong', 1, 'rejects the client certificate'],
  ])('with %s', async (_, name, expectedCode, expected) => {
    const more =
      name === null
        ? ''
        : `, clientCertificate: { cert: '${file(`${name}.pem`)}', key: '${file(`${name}-key.pem`)}' }`
    const config = file(`client-${name}.yaml`)
    writeFileSync(
      config,
      `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: '${upstream.host}', endpoint: '${upstream.url}' }
  - { host: client.example, endpoint: '${nginx.url}', mirror: true, ca: '${nginx.certificate}'${more} }
fallback: [{ name: all, images: ['**'], try: ['client.example/{path}'] }]
`,
    )
    const pair = [`${upstream.host}/${repository}:1`, 'client.example/client/app:1']
    const { code, stdout, stderr } = await runBerth(['mirror', ...pair, '--config', config])
    const explained = await runBerth(['explain', 'client/app:1', '--config', config])

    expect({ code, stdout, stderr }).toMatchObject({ code: expectedCode })
    expect(stdout + stderr).toContain(expected)
    expect(explained.stdout).toContain(name === 'good' ? 'found' : expected)
    expect(stdout + stderr + explained.stdout).not.toContain('PRIVATE KEY')
  })
})

test('reports that a stopped registry refuses connections', async () => {
  await readOnly.stop()
  const { code, stdout } = await mirror(readOnly)

  expect(code).toBe(3)
  expect(stdout).toContain(`ECONNREFUSED ${readOnly.host}`)
})

describe('verification with cosign', () => {
  const key = ecdsaKey()
  const signed = 'team/signed'
  const replayed = 'team/replayed'
  const bundled = 'team/bundled'
  const content = 'verification with cosign'

  /** Adds a signature of a digest to an image, as the tag that cosign 2 writes. */
  async function addSignature(to: string, image: string, of: string): Promise<void> {
    const target = { registry: upstream.url, repository: to }
    const payload = simpleSigningPayload(of)
    const type = 'application/vnd.dev.cosign.simplesigning.v1+json'
    const layer = await pushBlob(target, type, payload)
    const signature = signBytes(key, payload).toString('base64')
    const annotations = { 'dev.cosignproject.cosign/signature': signature }
    const config = await pushBlob(target, oci.config, Buffer.from('{}'))
    const manifest = { config, layers: [{ ...layer, annotations }] }
    await pushManifest(target, oci.manifest, manifest, `${referrersTag(image)}.sig`)
  }

  /** Adds a bundle to an image, and the list of referrers that cosign 3 writes to a registry without their API. */
  async function addBundle(to: string, image: string): Promise<void> {
    const target = { registry: upstream.url, repository: to }
    const bundle = Buffer.from(JSON.stringify(keyBundle(key, signatureStatement(image))))
    const layer = await pushBlob(target, bundleType, bundle)
    const config = await pushBlob(target, 'application/vnd.oci.empty.v1+json', Buffer.from('{}'))
    const subject = { mediaType: oci.index, digest: image, size: 1 }
    const manifest = { artifactType: bundleType, config, layers: [layer], subject }
    const entry = await pushManifest(target, oci.manifest, manifest)
    const manifests = [{ ...entry, artifactType: bundleType }]
    await pushManifest(target, oci.index, { manifests }, referrersTag(image))
  }

  test('copies images that are signed with the key, with their signatures, and refuses others', async () => {
    const push = async (name: string, text: string) =>
      (await pushIndex({ registry: upstream.url, repository: name, tag: '1', content: text }))
        .digest
    const digest = await push(signed, content)
    await addSignature(signed, digest, digest)
    await addSignature(replayed, await push(replayed, 'changed'), digest)
    await addBundle(bundled, await push(bundled, 'with a bundle'))
    await push('team/unsigned', 'unsigned')
    const config = join(directory, 'verify.yaml')
    const rule = { images: [`${upstream.host}/**`], cosign: { key: key.publicPem } }
    const verify = `mirror: ${JSON.stringify({ verify: [rule] })}\n`
    writeFileSync(config, readFileSync(configFor(account.password), 'utf8') + verify)

    const pairs = [signed, replayed, bundled, 'team/unsigned'].map(
      (name) => `${upstream.host}/${name}:1=${open.host}/${name}:1`,
    )
    const { code, stdout } = await runBerth(['mirror', ...pairs, '--config', config, '-o', 'json'])
    const results = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { source: string; status: string; error: object | null })
    const resultOf = (name: string) =>
      results.find(({ source }) => source === `${upstream.host}/${name}:1`)

    expect(code).toBe(1)
    expect(resultOf(signed)).toMatchObject({ status: 'copied' })
    expect(resultOf(bundled)).toMatchObject({ status: 'copied' })
    expect(resultOf(replayed)).toMatchObject({ error: { outcome: 'refused', code: 'wrong-image' } })
    expect(resultOf('team/unsigned')).toMatchObject({ error: { code: 'unsigned' } })
    const at = (name: string) => ({ registry: open.url, repository: name })
    expect(await digestOfTag(at(signed), `${referrersTag(digest)}.sig`)).toBeDefined()
    expect(await digestOfTag(at(replayed), '1')).toBeUndefined()
  })
})
