import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  type DockerRegistry,
  registryObstacle,
  startDockerRegistry,
} from '../../../bench/lib/docker-registry.ts'
import type { KubeObject } from '../../../src/kube/object.ts'
import { type RemovalResult, runPrune } from '../../../src/mirror/prune/run-prune.ts'
import { berth, type Outcome } from '../../support/io.ts'
import { registriesFor } from '../../support/mirroring.ts'
import { startStore } from '../../support/store-registry.ts'
import {
  replyJson,
  replyStatus,
  type ScriptedApiServer,
  startScriptedApiServer,
} from '../../support/scripted-api-server.ts'

/** `berth mirror --prune` against docker-registry 2.8, as Debian packages it. */
const manifestType = 'application/vnd.oci.image.manifest.v1+json'
const indexType = 'application/vnd.oci.image.index.v1+json'
const digestOf = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`

let directory: string
let registry: DockerRegistry
let readOnly: DockerRegistry
let server: ScriptedApiServer
let kubeconfig: string
let round = 0
/** Another repository for each test. */
let app: string

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  return port
}

async function put(path: string, body: string, type: string, url = registry.url): Promise<void> {
  const response = await fetch(`${url}/v2/${path}`, {
    method: 'PUT',
    body,
    headers: { 'content-type': type },
  })
  expect(response.status).toBe(201)
}

async function pushBlob(repository: string, body: string, url: string): Promise<string> {
  const started = await fetch(`${url}/v2/${repository}/blobs/uploads/`, { method: 'POST' })
  const location = new URL(started.headers.get('location') ?? '', url)
  location.searchParams.set('digest', digestOf(body))
  await fetch(location, { method: 'PUT', body })
  return digestOf(body)
}

/** Pushes an image by tag, or by digest only. Returns its digest. */
async function pushImage(
  repository: string,
  tag: string | null,
  content: string,
  { url = registry.url, subject }: { readonly url?: string; readonly subject?: string } = {},
): Promise<string> {
  const config = await pushBlob(repository, `{"of":"${content}"}`, url)
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: manifestType,
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: config,
      size: content.length + 9,
    },
    layers: [],
    ...(subject === undefined
      ? {}
      : { subject: { mediaType: manifestType, digest: subject, size: 1 } }),
  })
  await put(`${repository}/manifests/${tag ?? digestOf(manifest)}`, manifest, manifestType, url)
  return digestOf(manifest)
}

async function pushIndex(
  repository: string,
  tag: string,
  children: readonly string[],
): Promise<string> {
  const index = JSON.stringify({
    schemaVersion: 2,
    mediaType: indexType,
    manifests: children.map((digest) => ({ mediaType: manifestType, digest, size: 1 })),
  })
  await put(`${repository}/manifests/${tag}`, index, indexType)
  return digestOf(index)
}

async function tagsOf(repository: string, url = registry.url): Promise<readonly string[]> {
  const response = await fetch(`${url}/v2/${repository}/tags/list`)
  const { tags } = (await response.json()) as { readonly tags?: readonly string[] | null }
  return (tags ?? []).toSorted()
}

async function exists(repository: string, digest: string): Promise<boolean> {
  const accept = `${manifestType}, ${indexType}`
  const url = `${registry.url}/v2/${repository}/manifests/${digest}`
  return (await fetch(url, { method: 'HEAD', headers: { accept } })).ok
}

function writeConfig(text: string, url = registry.url): string {
  const file = join(directory, 'berth.yaml')
  writeFileSync(
    file,
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: mirror.example, endpoint: '${url}', mirror: true }
  - { host: docker.io, endpoint: '${readOnly.url}' }
${text}`,
  )
  return file
}

const rows = `fallback:
  - { name: hub, images: ['docker.io/**'], try: ['mirror.example/{host}/{path}', 'docker.io/{path}'] }
`

function prune(...args: readonly string[]): Promise<Outcome> {
  const config = join(directory, 'berth.yaml')
  const cluster = ['--from-cluster', '--kubeconfig', kubeconfig]
  const only = args.some((each) => each.startsWith('mirror.example/'))
    ? []
    : [`mirror.example/${app}`]
  return berth(['mirror', '--prune', '--config', config, ...cluster, ...only, ...args])
}

const pruneNow = (...args: readonly string[]) => prune('--older-than', '0d', ...args)

/** Returns the tags that a plan removes. */
async function removedTags(...args: readonly string[]): Promise<readonly string[]> {
  const { code, stdout, stderr } = await pruneNow('-o', 'json', ...args)
  expect({ code, stderr }).toMatchObject({ code: 0 })
  const { tags } = JSON.parse(stdout) as {
    readonly tags: readonly { readonly tag: string; readonly action: string }[]
  }
  return tags.filter(({ action }) => action === 'remove').map(({ tag }) => tag)
}

function pod(name: string, image: string, more: object = {}): KubeObject {
  const spec = { containers: [{ name: 'c', image }] }
  const object = { metadata: { name, namespace: 'team' }, spec, ...more }
  return object
}

const template = (image: string) => ({ spec: { containers: [{ name: 'c', image }] } })

describe.skipIf(registryObstacle() !== null)('berth mirror --prune', () => {
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'berth-prune-'))
    registry = await startDockerRegistry(join(directory, 'a'), await freePort(), {
      canDelete: true,
    })
    readOnly = await startDockerRegistry(join(directory, 'b'), await freePort())
  }, 30_000)

  afterAll(async () => {
    await registry.stop()
    await readOnly.stop()
    await server.close()
    rmSync(directory, { recursive: true })
  })

  beforeEach(async () => {
    await server?.close()
    server = await startScriptedApiServer({ isHttps: true })
    kubeconfig = join(directory, 'kubeconfig')
    writeFileSync(kubeconfig, server.kubeconfig(), { mode: 0o600 })
    round += 1
    app = `docker.io/team/app${round}`
    writeConfig(rows)
  })

  const upstream = () => app.replace('docker.io/', '')

  it('plans, and removes nothing without --yes', async () => {
    await pushImage(app, '1', 'one')
    const { code, stdout, stderr } = await pruneNow()

    expect(code).toBe(0)
    expect(stdout).toMatch(
      /remove +mirror\.example\/docker\.io\/team\/app\S+ +1 +sha256:\S+ +- +nothing needs it/,
    )
    expect(stderr).toContain('1 tags to remove, 0 to keep, in 1 repositories')
    expect(stderr).toContain('nothing was removed; add --yes to remove')
    expect(await tagsOf(app)).toEqual(['1'])
  })

  it('removes with --yes what nothing needs, and finds nothing the second time', async () => {
    for (const tag of ['1', '2']) await pushImage(app, tag, tag)
    server.kube.put('pods', pod('web', `${upstream()}:2`))
    const first = await pruneNow('--yes')
    const second = await pruneNow('--yes')

    expect(first).toMatchObject({ code: 0 })
    expect(first.stderr).toContain('removed  mirror.example')
    expect(first.stderr).toContain('garbage collection')
    expect(second).toMatchObject({ code: 0 })
    expect(second.stderr).toContain('0 tags to remove, 1 to keep')
    expect(await tagsOf(app)).toEqual(['2'])
  })

  it('keeps what pods ask for, got and run, and what their owners can return to', async () => {
    const running = await pushImage(app, 'running', 'running')
    for (const tag of [
      'asked',
      'got',
      'rs',
      'deploy',
      'sts',
      'revision',
      'ds',
      'job',
      'cron',
      'rc',
      'old',
    ])
      await pushImage(app, tag, tag)
    const name = (tag: string) => `${upstream()}:${tag}`
    const record = {
      site: 'containers/c',
      from: name('asked'),
      to: `mirror.example/${app}:got`,
      row: 'hub',
      why: '',
    }
    server.kube.put('pods', {
      ...pod('web', `mirror.example/${app}:got`),
      metadata: {
        name: 'web',
        namespace: 'team',
        annotations: { 'berth.dev/images': JSON.stringify([record]) },
      },
      status: { containerStatuses: [{ name: 'c', imageID: `docker.io/team/x@${running}` }] },
    } as never)
    const spec = (tag: string) => ({
      metadata: { name: tag, namespace: 'team' },
      spec: { template: template(name(tag)) },
    })
    server.kube.put('replicasets', spec('rs'))
    server.kube.put('deployments', spec('deploy'))
    server.kube.put('statefulsets', spec('sts'))
    server.kube.put('daemonsets', spec('ds'))
    server.kube.put('jobs', spec('job'))
    server.kube.put('replicationcontrollers', spec('rc'))
    server.kube.put('cronjobs', {
      metadata: { name: 'cron', namespace: 'team' },
      spec: { jobTemplate: { spec: { template: template(name('cron')) } } },
    } as never)
    server.kube.put('controllerrevisions', {
      metadata: { name: 'sts-1', namespace: 'team' },
      data: { spec: { template: { $patch: 'replace', ...template(name('revision')) } } },
    } as never)

    expect(await removedTags()).toEqual(['old'])
  })

  it('keeps what custom resources name that are known or in workloads', async () => {
    for (const tag of ['thing', 'postgres', 'old']) await pushImage(app, tag, tag)
    const version = (group: string) => ({ groupVersion: `${group}/v1` })
    const groups = ['x.example', 'postgresql.cnpg.io']
    const found = groups.map((name) => ({
      name,
      versions: [version(name)],
      preferredVersion: version(name),
    }))
    server.scriptAlways({ path: /^\/apis$/ }, replyJson({ groups: found }))
    const things = {
      resources: [
        { name: 'things', kind: 'Thing' },
        { name: 'things/status', kind: 'Thing' },
      ],
    }
    server.scriptAlways({ path: '/apis/x.example/v1' }, replyJson(things))
    const clusters = { resources: [{ name: 'clusters', kind: 'Cluster' }] }
    server.scriptAlways({ path: '/apis/postgresql.cnpg.io/v1' }, replyJson(clusters))
    const object = (tag: string, spec: object): KubeObject => {
      const custom = { metadata: { name: tag, namespace: 'team' }, spec }
      return custom
    }
    server.kube.put('things', object('thing', { sidecars: [{ image: `${upstream()}:thing` }] }))
    server.kube.put('clusters', object('postgres', { imageName: `${upstream()}:postgres` }))
    writeConfig(
      `${rows}workloads: [{ kind: x.example/Thing, images: ['spec.sidecars[].image'] }]\n`,
    )
    const kept = await removedTags()
    server.scriptAlways({ path: '/apis/x.example/v1/things' }, replyStatus(403, 'Forbidden'))
    const refused = await pruneNow('--yes')

    expect(kept).toEqual(['old'])
    expect(refused).toMatchObject({ code: 3, stdout: '' })
  })

  it('keeps what manifests, lock files, mirror.images and tests of the config name', async () => {
    const locked = await pushImage(app, 'moved', 'locked')
    for (const tag of ['manifest', 'image', 'test', 'mapped', 'old']) await pushImage(app, tag, tag)
    const file = join(directory, 'pod.yaml')
    writeFileSync(
      file,
      `apiVersion: v1\nkind: Pod\nmetadata: { name: a }\nspec: { containers: [{ name: c, image: '${upstream()}:manifest' }] }\n`,
    )
    const lock = join(directory, 'more.lock')
    writeFileSync(
      lock,
      `apiVersion: berth.dev/v1alpha1\nkind: BerthLock\nimages:\n  - { image: 'docker.io/${upstream()}:1', digest: '${locked}', from: docker.io, date: '2026-11-21' }\n`,
    )
    writeConfig(`fallback:
  - { name: hub, images: ['docker.io/**'], tags: { latest: mapped }, try: ['mirror.example/{host}/{path}', 'docker.io/{path}'] }
mirror: { images: [{ image: '${app}', tags: [image] }] }
tests: [{ image: '${upstream()}:test', expect: 'mirror.example/${app}:test' }]
`)

    expect(await removedTags('-f', file, '--lock', lock)).toEqual(['old'])
  })

  it('keeps what kustomize builds, and what its files name', async () => {
    for (const tag of ['dummy', 'built', 'old']) await pushImage(app, tag, tag)
    const tree = mkdtempSync(join(directory, 'tree-'))
    writeFileSync(
      join(tree, 'pod.yaml'),
      `apiVersion: v1\nkind: Pod\nmetadata: { name: a }\nspec: { containers: [{ name: c, image: '${upstream()}:dummy' }] }\n`,
    )
    writeFileSync(
      join(tree, 'kustomization.yaml'),
      `resources: [pod.yaml]\nimages: [{ name: '${upstream()}', newTag: built }]\n`,
    )
    writeConfig(rows)

    expect(await removedTags('-f', tree)).toEqual(['old'])
  })

  it('keeps the children of indexes that stay, and removes those that only an index had that goes', async () => {
    const [shared, own] = [await pushImage(app, null, 'amd64'), await pushImage(app, null, 'arm64')]
    await pushIndex(app, 'old', [shared, own])
    await pushIndex(app, 'new', [shared])
    await pushImage(app, 'old-amd64', 'amd64')
    server.kube.put('pods', pod('web', `${upstream()}:new`))
    await pruneNow('--yes')

    expect(await tagsOf(app)).toEqual(['new', 'old-amd64'])
    expect([await exists(app, shared), await exists(app, own)]).toEqual([true, false])
  })

  it('removes the signatures of what goes, and keeps those of what stays', async () => {
    const [old, kept] = [await pushImage(app, 'old', 'old'), await pushImage(app, 'new', 'new')]
    const [oldTag, keptTag] = [old, kept].map((each) => each.replace(':', '-')) as [string, string]
    await pushImage(app, `${oldTag}.sig`, 'signature of old')
    await pushImage(app, `${keptTag}.sig`, 'signature of new')
    const sbom = await pushImage(app, null, 'sbom of new', { subject: kept })
    await pushIndex(app, keptTag, [sbom])
    const oldSbom = await pushImage(app, null, 'sbom of old', { subject: old })
    await pushIndex(app, oldTag, [oldSbom])
    server.kube.put('pods', pod('web', `${upstream()}:new`))
    await pruneNow('--yes')

    expect(await tagsOf(app)).toEqual(['new', keptTag, `${keptTag}.sig`].toSorted())
    expect([await exists(app, sbom), await exists(app, oldSbom)]).toEqual([true, false])
  })

  it('removes tags of a repository that lists a tag without a manifest', async () => {
    const broken = await pushImage(app, 'broken', 'broken')
    await pushImage(app, '1', 'one')
    const revisions = `data/docker/registry/v2/repositories/${app}/_manifests/revisions`
    rmSync(join(directory, 'a', revisions, broken.replace(':', '/')), { recursive: true })
    const { code, stderr } = await pruneNow('--yes')

    expect({ code, stderr }).toMatchObject({ code: 0 })
    expect(await tagsOf(app)).toEqual(['broken'])
  })

  it('keeps signatures whose image may be in another repository', async () => {
    const [running, other] = [digestOf('running'), digestOf('other')]
    const tagOf = (digest: string) => `${digest.replace(':', '-')}.sig`
    await pushImage(app, tagOf(other), 'signature in a repository for signatures')
    const alone = await pruneNow('--yes')
    await pushImage(app, tagOf(running), 'signature of what runs')
    await pushImage(app, '1', 'one')
    const status = { containerStatuses: [{ name: 'c', imageID: `docker.io/x/app@${running}` }] }
    server.kube.put('pods', pod('web', 'x/app:1', { status }))
    await pruneNow('--yes')

    expect(alone.stdout).toContain('it may be of an image in another repository')
    expect(await tagsOf(app)).toEqual([tagOf(running)])
  })

  it('counts the age from when the audit log first says that nothing needs the tag', async () => {
    const digest = await pushImage(app, '1', 'one')
    const audit = join(directory, `audit-${round}.log`)
    const first = await prune('--older-than', '30d', '--audit-log', audit, '-o', 'json')
    const line = JSON.parse(readFileSync(audit, 'utf8')) as Record<string, unknown>
    writeFileSync(audit, `${JSON.stringify({ ...line, time: '2020-01-01T00:00:00Z' })}\n`)
    const later = await prune('--older-than', '30d', '--audit-log', audit, '--yes')

    expect(first.stdout).toContain('its age is not known')
    expect(line).toMatchObject({
      destination: `mirror.example/${app}:1`,
      status: 'unneeded',
      mirrorDigest: digest,
    })
    expect(later.stderr).toContain('removed  ')
    expect(await tagsOf(app)).toEqual([])
  })

  it('keeps a tag that has moved since the audit log noted it', async () => {
    await pushImage(app, '1', 'now')
    const audit = join(directory, `audit-${round}.log`)
    const line = {
      destination: `mirror.example/${app}:1`,
      status: 'unneeded',
      mirrorDigest: digestOf('other'),
    }
    writeFileSync(audit, `${JSON.stringify({ time: '2020-01-01T00:00:00Z', ...line })}\n`)
    const { stdout } = await prune('--older-than', '30d', '--audit-log', audit)

    expect(stdout).toContain('its age is not known')
  })

  it('looks at no repository that no row writes to, and at no mirror with copy: false', async () => {
    await pushImage('other/team', '1', 'own')
    await pushImage(app, '1', 'one')
    const config = writeConfig(rows)
    const args = ['--from-cluster', '--kubeconfig', kubeconfig, '--older-than', '0d', '-o', 'json']
    const all = await berth(['mirror', '--prune', '--config', config, ...args])
    const named = await prune('--older-than', '0d', 'mirror.example/other/team')
    writeFileSync(
      config,
      readFileSync(config, 'utf8').replace('mirror: true', 'mirror: true, copy: false'),
    )
    const never = await berth(['mirror', '--prune', '--config', config, ...args, '--yes'])

    expect(all.stdout).not.toContain('other/team')
    expect(all.stdout).toMatch(/"otherRepositories": [1-9]/)
    expect(named).toMatchObject({ code: 2 })
    expect(named.stderr).toContain('no row of the table writes to it')
    expect(JSON.parse(never.stdout)).toMatchObject({ tags: [] })
    expect(await tagsOf(app)).toEqual(['1'])
  })

  it('without the host in the name, removes only copies that upstream has', async () => {
    const flat = `team/flat${round}`
    await pushImage(flat, 'copy', 'copy')
    await pushImage(flat, 'own', 'own build')
    await pushImage(flat, 'copy', 'copy', { url: readOnly.url })
    writeConfig(
      `fallback: [{ name: hub, images: ['docker.io/**'], try: ['mirror.example/{path}'] }]\n`,
    )
    const { stdout } = await pruneNow(`mirror.example/${flat}`, '--yes')

    expect(await tagsOf(flat)).toEqual(['own'])
    expect(stdout).toContain('it may not be a copy: docker.io does not have it')
  })

  it('names the setting of a registry that deletes nothing', async () => {
    await pushImage(app, '1', 'one', { url: readOnly.url })
    writeConfig(rows, readOnly.url)
    const { code, stderr } = await pruneNow('--yes')

    expect(code).toBe(1)
    expect(stderr).toContain('REGISTRY_STORAGE_DELETE_ENABLED=true')
    expect(await tagsOf(app, readOnly.url)).toEqual(['1'])
  })

  it.each(['pods', 'replicasets', 'controllerrevisions', 'cronjobs'])(
    'plans nothing if it may not list %s',
    async (resource) => {
      await pushImage(app, '1', 'one')
      server.scriptAlways({ path: `/${resource}` }, replyStatus(403, 'Forbidden'))
      const { code, stdout, stderr } = await pruneNow('--yes')

      expect({ code, stdout }).toEqual({ code: 3, stdout: '' })
      expect(stderr).toContain('cluster-forbidden: nothing is planned, because cluster ')
      expect(stderr).toContain(resource)
      expect(await tagsOf(app)).toEqual(['1'])
    },
  )

  it('plans nothing if a cluster, a manifest, a lock file or a list of tags cannot be read', async () => {
    await pushImage(app, '1', 'one')
    const bad = join(directory, 'bad.yaml')
    writeFileSync(bad, 'kind: [')
    const manifest = await pruneNow('--yes', '-f', bad)
    const lock = await pruneNow('--yes', '--lock', join(directory, 'none.lock'))
    const config = writeConfig(rows, 'http://127.0.0.1:1')
    const unreachable = await pruneNow('--yes')
    writeConfig(rows)
    await server.pause()
    const cluster = await pruneNow('--yes')
    await server.resume()

    expect(config).not.toBe('')
    expect(manifest).toMatchObject({ code: 2, stdout: '' })
    expect(manifest.stderr).toContain('what it needs is not known')
    expect(lock).toMatchObject({ code: 2, stdout: '' })
    expect(unreachable).toMatchObject({ code: 3, stdout: '' })
    expect(unreachable.stderr).toContain(
      `nothing is planned, because mirror.example/${app} cannot be read`,
    )
    expect(cluster).toMatchObject({ code: 3, stdout: '' })
    expect(await tagsOf(app)).toEqual(['1'])
  })

  it.each([
    ['a tag has moved', '1', 'the tag 1 has changed since the plan'],
    ['there is a new tag', '2', 'the tag 2 is new since the plan'],
  ])('removes nothing if %s since the plan', async (_, tag, problem) => {
    const digest = await pushImage(app, '1', 'one')
    await pushImage(app, tag, 'pushed meanwhile')
    const results: RemovalResult[] = []
    const registries = registriesFor([registry.url])
    const planned = { tag: '1', digest, since: null, action: 'remove', why: '' } as const
    const removals = [{ digest, tags: ['1'], others: [] }]
    const plan = { host: registry.host, path: app, tags: [planned], removals, holds: new Map() }
    await runPrune(
      { repositories: [plan], others: 0 },
      {
        registries,
        signal: new AbortController().signal,
        onResult: (result) => results.push(result),
      },
    )
    await registries.close()

    expect(results).toMatchObject([{ status: 'changed', problem }])
    expect(await exists(app, digest)).toBe(true)
  })

  it('plans nothing if a list of tags breaks off', async () => {
    const store = await startStore({ pageSize: 1 })
    for (const tag of ['1', '2', '3']) store.addImage(app, tag)
    store.fault(({ path }) => (path.includes('last=2') ? { status: 404 } : null))
    writeConfig(rows, store.url)
    const { code, stdout, stderr } = await pruneNow('--yes')
    await store.close()

    expect({ code, stdout }).toEqual({ code: 3, stdout: '' })
    expect(stderr).toContain('page 3 of the list of tags')
    expect(store.requests.every(({ method }) => method !== 'DELETE')).toBe(true)
  })

  it('requires an age and the clusters', async () => {
    const noAge = await prune()
    const noCluster = await berth(['mirror', '--prune', '--older-than', '30d'])
    const twice = await berth(['mirror', '--context', 'a', '--context', 'b', 'nginx'])

    expect(twice).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('several --context need --prune') as string,
    })
    expect(noAge).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--older-than AGE') as string,
    })
    expect(noCluster).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--context NAME for each') as string,
    })
  })
})
