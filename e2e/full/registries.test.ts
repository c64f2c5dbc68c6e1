/** `berth mirror` and `berth drift` with both released versions of CNCF distribution, behind HAProxy and with blobs in S3. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { referrersTag } from '../../src/registry/manifests/referrers.ts'
import { makeClientCertificate } from '../../test/support/client-certificate.ts'
import { runBerth } from '../harness/berth-cli.ts'
import { pushImage, pushIndex } from '../harness/images.ts'
import { type Moto, startMoto } from '../harness/moto.ts'
import { oci, pushBlob, pushManifest } from '../harness/registry-client.ts'
import { buildDistribution, distribution } from './distribution.ts'
import { digestOn, large, mirrorHost, type Site, startSite } from './registry-site.ts'

const versions = ['docker-registry', `distribution-${distribution}`] as const
const sites = new Map<string, Site>()
let moto: Moto

beforeAll(async () => {
  const programs = ['docker-registry', await buildDistribution()]
  for (const [index, version] of versions.entries())
    sites.set(version, await startSite(version, programs[index] ?? ''))
  moto = await startMoto()
}, 3_600_000)

afterAll(async () => {
  for (const site of sites.values()) await site.stop()
  await moto?.stop()
})

function siteOf(version: string): Site {
  const site = sites.get(version)
  if (site === undefined) throw new Error(`${version} did not start`)
  return site
}

const matching = (text: string) => expect.stringContaining(text) as string

test.each(versions)(
  '%s: copies an index, copies nothing again, and detects that upstream has moved',
  async (version) => {
    const { upstream, mirror, startProxy, configFor } = siteOf(version)
    const config = ['--config', configFor(await startProxy('copy'))]
    const repository = 'team/app'
    const push = (content: string) =>
      pushIndex({ registry: upstream.url, repository, tag: '1', content })
    const { digest } = await push('first')
    const pair = [`${upstream.host}/${repository}:1`, `${mirrorHost}/${repository}:1`]
    const copied = await runBerth(['mirror', ...pair, ...config])
    const uploads = async () =>
      (await mirror.accessLog()).filter((line) => /"(PUT|POST|PATCH) /.test(line)).length
    const before = await uploads()
    const again = await runBerth(['mirror', ...pair, ...config])
    const same = await runBerth(['drift', ...pair, ...config])
    await push('second')
    const moved = await runBerth(['drift', ...pair, ...config])

    expect(copied).toMatchObject({ code: 0 })
    expect(await digestOn(mirror, repository, '1')).toBe(digest)
    expect(again).toMatchObject({ code: 0 })
    expect(await uploads()).toBe(before)
    expect(same).toMatchObject({ code: 0, stdout: matching('same') })
    expect(moved).toMatchObject({ code: 1, stdout: matching('moved') })
  },
)

test.each(versions)('%s: copies referrers', async (version) => {
  const { upstream, mirror, startProxy, configFor } = siteOf(version)
  const repository = 'team/signed'
  const to = { registry: upstream.url, repository }
  const image = await pushIndex({ ...to, tag: '1', content: 'signed' })
  const empty = await pushBlob(to, 'application/vnd.oci.empty.v1+json', Buffer.from('{}'))
  const artifactType = 'application/vnd.example.sbom'
  const subject = { mediaType: oci.index, digest: image.digest, size: 1 }
  const sbom = { artifactType, config: empty, layers: [empty], subject }
  const entry = await pushManifest(to, oci.manifest, sbom)
  // Neither version has the API, so a client adds the artifact to the referrers tag.
  const tag = referrersTag(image.digest)
  await pushManifest(to, oci.index, { manifests: [{ ...entry, artifactType }] }, tag)
  const pair = [`${upstream.host}/${repository}:1`, `${mirrorHost}/${repository}:1`]
  const config = ['--config', configFor(await startProxy('referrers'))]
  const { code, stdout } = await runBerth(['mirror', ...pair, '--referrers', ...config])

  expect({ code, stdout }).toMatchObject({ code: 0 })
  expect(await digestOn(mirror, repository, entry.digest)).toBe(entry.digest)
  expect(await digestOn(mirror, repository, tag)).toBeDefined()
})

test.each(versions)('%s: reads every page of the tags', async (version) => {
  const { upstream, mirror, startProxy, configFor } = siteOf(version)
  const repository = 'team/paged'
  for (let minor = 1; minor <= 11; minor += 1) {
    const of = { registry: upstream.url, repository, tag: `1.${minor}` }
    await pushImage({ ...of, content: `${minor}` })
  }
  const image = `{ image: '${upstream.host}/${repository}', semver: '>=1', newest: 2 }`
  const rest = `mirror: { images: [${image}] }\n`
  const file = configFor(await startProxy('tags'), { rest })
  const { code, stdout } = await runBerth(['mirror', '--config', file])
  // The registry behind this proxy builds links with another scheme and host.
  const rules = ['http-request set-header Host internal.example:5000']
  const hidden = await startProxy('tags-host', { backend: upstream.host, rules })
  const missing = [`${mirrorHost}/${repository}:1.12`, `${mirrorHost}/copy/paged:1.12`]
  const similar = await runBerth(['mirror', ...missing, '--config', configFor(hidden)])

  expect({ code, stdout }).toMatchObject({ code: 0 })
  expect(await digestOn(mirror, repository, '1.11')).toBeDefined()
  expect(await digestOn(mirror, repository, '1.10')).toBeDefined()
  expect(await digestOn(mirror, repository, '1.9')).toBeUndefined()
  expect(similar).toMatchObject({ code: 1 })
  expect(similar.stdout).toMatch(/existing tags: .*1\.11/)
})

const https = 'http-request set-header X-Forwarded-Proto https'
const tooLarge = 'http-request deny deny_status 413 if { req.hdr_val(content-length) gt 5242880 }'

test.each(
  versions.flatMap((version) => [
    { version, name: 'no-header', rules: [], chunks: 0 },
    { version, name: 'wrong-header', rules: [https.replace('https', 'http')], chunks: 0 },
    { version, name: 'right-header', rules: [https, 'option forwardfor'], chunks: 0 },
    { version, name: 'limit-of-5-MiB', rules: [tooLarge], chunks: 2 },
  ]),
)('$version: uploads through HAProxy with $name', async ({ version, name, rules, chunks }) => {
  const { upstream, mirror, startProxy, configFor } = siteOf(version)
  const proxy = await startProxy(name, { rules })
  const repository = `upload/${name.toLowerCase()}`
  const pair = [`${upstream.host}/${large}:1`, `${mirrorHost}/${repository}:1`]
  const { code, stdout } = await runBerth(['mirror', ...pair, '--config', configFor(proxy)])
  const log = await proxy.accessLog()

  expect({ code, stdout }).toMatchObject({ code: 0 })
  expect(log.filter((line) => /^PATCH .* 202$/.test(line))).toHaveLength(chunks)
  expect(await digestOn(mirror, repository, '1')).toBe(await digestOn(upstream, large, '1'))
})

test.each(versions)(
  '%s: names the headers that HAProxy has to set if it hides its host and scheme',
  async (version) => {
    const { upstream, startProxy, configFor } = siteOf(version)
    const rules = ['http-request set-header Host internal.example:5000']
    const proxy = await startProxy('upload-host', { rules })
    const pair = [`${upstream.host}/${large}:1`, `${mirrorHost}/upload/host:1`]
    const { code, stdout } = await runBerth(['mirror', ...pair, '--config', configFor(proxy)])

    expect(code).toBe(1)
    expect(stdout).toContain('set X-Forwarded-Proto and Host there')
  },
)

test.each(versions)(
  '%s: shows a client certificate to HAProxy that requires one, and says so if it has none',
  async (version) => {
    const { upstream, mirror, directory, startProxy, configFor } = siteOf(version)
    const { ca, client } = await makeClientCertificate('berth.example')
    const file = (suffix: string) => join(directory, `client-${suffix}.pem`)
    writeFileSync(file('ca'), ca.cert)
    writeFileSync(file('cert'), client.cert)
    writeFileSync(file('key'), client.key, { mode: 0o600 })
    const proxy = await startProxy('client', { clientCa: file('ca') })
    const pair = [`${upstream.host}/${large}:1`, `${mirrorHost}/client/large:1`]
    const registry = `, clientCertificate: { cert: '${file('cert')}', key: '${file('key')}' }`
    const none = await runBerth(['mirror', ...pair, '--config', configFor(proxy)])
    const shown = await runBerth(['mirror', ...pair, '--config', configFor(proxy, { registry })])

    expect(none).toMatchObject({ code: 1, stdout: matching('requires a client certificate') })
    expect(shown).toMatchObject({ code: 0 })
    expect(await digestOn(mirror, 'client/large', '1')).toBe(await digestOn(upstream, large, '1'))
  },
)

test.each(versions)(
  '%s: copies to and from S3, where the registry redirects downloads',
  async (version) => {
    const { upstream, mirror, directory, ...site } = siteOf(version)
    const bucket = version.replaceAll('.', '-')
    const created = await fetch(`${moto.url}/${bucket}`, { method: 'PUT' })
    const stored = await site.startRegistry('s3', { s3: { url: moto.url, bucket } })
    const config = join(directory, 's3.yaml')
    const registries = [upstream, stored, mirror].map(
      ({ host, url }) => `{ host: '${host}', endpoint: '${url}', mirror: true }`,
    )
    writeFileSync(
      config,
      `apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\nregistries: [${registries.join(', ')}]\n`,
    )
    const copy = (from: string, to: string) => runBerth(['mirror', from, to, '--config', config])
    const into = await copy(`${upstream.host}/${large}:1`, `${stored.host}/${large}:1`)
    const out = await copy(`${stored.host}/${large}:1`, `${mirror.host}/from-s3/large:1`)
    const log = await stored.accessLog()

    expect(created.ok).toBe(true)
    expect(into).toMatchObject({ code: 0 })
    expect(out).toMatchObject({ code: 0 })
    // The layer and the config.
    expect(log.filter((line) => /"GET .*\/blobs\/.* 307 /.test(line))).toHaveLength(2)
    expect(await digestOn(mirror, 'from-s3/large', '1')).toBe(await digestOn(upstream, large, '1'))
  },
)
