import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { extract } from 'tar-stream'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sha256 } from '../../deploy/image/oci.ts'
import { currentCluster } from '../harness/cluster.ts'
import { runOk } from '../harness/command.ts'
import { apply, kubectlOk, remove } from '../harness/kubectl.ts'
import { repository } from '../harness/paths.ts'
import { type Registry, startRegistry } from '../harness/registry.ts'
import { buildDockerfile, ensureBuildah, fillNpmCache } from './dockerfile-bases.ts'

/** deploy/Dockerfile, built by buildah on base images made from the files of this machine, compared with the image of `npm run image`. */
// buildah names images after the directory of their layout, and accepts no capitals in names.
const directory = join(tmpdir(), `berth-dockerfile-${process.pid}`)
const buildMs = 1_800_000
let registry: Registry
let layouts: Record<string, string>

beforeAll(async () => {
  mkdirSync(directory)
  await ensureBuildah()
  const image = join(directory, 'image')
  const build = join(repository, 'deploy/image/build.ts')
  await runOk(process.execPath, [build, '--out', image])
  const dockerfile = await buildDockerfile({ directory, npmCache: await fillNpmCache() })
  layouts = { dockerfile, image }
  registry = await startRegistry(currentCluster(), { name: 'dockerfile' })
}, buildMs)

afterAll(async () => {
  for (const name of ['dockerfile', 'image']) await remove('pod', name)
  await registry?.stop()
  rmSync(directory, { recursive: true, force: true })
})

function readJson(layout: string, digest?: string): unknown {
  const file = digest === undefined ? 'index.json' : `blobs/sha256/${digest.replace('sha256:', '')}`
  return JSON.parse(readFileSync(join(layout, file), 'utf8'))
}

type Descriptor = { digest: string }

function readManifest(layout: string) {
  const { manifests } = readJson(layout) as { manifests: [Descriptor] }
  return readJson(layout, manifests[0].digest) as {
    config: Descriptor
    layers: Descriptor[]
  }
}

/** The digest of each file below `app`, by its path. */
async function appFiles(layout: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {}
  for (const { digest } of readManifest(layout).layers) {
    const blob = readFileSync(join(layout, 'blobs/sha256', digest.replace('sha256:', '')))
    const reader = extract()
    reader.end(gunzipSync(blob))
    for await (const entry of reader) {
      const chunks: Buffer[] = []
      for await (const chunk of entry) chunks.push(chunk as Buffer)
      const { name, type } = entry.header
      if (type === 'file' && name.startsWith('app/')) files[name] = sha256(Buffer.concat(chunks))
    }
  }
  return files
}

test('both images have the same files', async () => {
  const [dockerfile, image] = [
    await appFiles(layouts['dockerfile'] ?? ''),
    await appFiles(layouts['image'] ?? ''),
  ]
  // The Dockerfile copies the whole file.
  for (const files of [dockerfile, image]) delete files['app/package.json']

  expect(Object.keys(image).length).toBeGreaterThan(50)
  expect(dockerfile).toEqual(image)
})

test('both images start in the same way', () => {
  const [dockerfile, image] = ['dockerfile', 'image'].map((name) => {
    const layout = layouts[name] ?? ''
    const { config } = readJson(layout, readManifest(layout).config.digest) as {
      config: Record<string, unknown>
    }
    const { User, WorkingDir, Entrypoint, Cmd, ExposedPorts, Env } = config
    const isProduction = (Env as string[]).includes('NODE_ENV=production')
    return { User, WorkingDir, Entrypoint, Cmd, ExposedPorts, isProduction }
  })

  expect(dockerfile).toEqual(image)
})

test.each(['dockerfile', 'image'])('the image of %s runs in a pod', async (name) => {
  const reference = `${registry.host}/${name}:1`
  const source = name === 'image' ? `berth:${readVersion()}` : 'dockerfile:latest'
  const copy = ['mirror', source, reference, '--from', `oci:${layouts[name]}`]
  await runOk(process.execPath, [join(repository, 'src/main.ts'), ...copy])
  const args = ['check', '--config', '/app/webhook-config/examples/docker-hub.yaml']
  const container = { name: 'berth', image: reference, args }
  await apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: { restartPolicy: 'Never', containers: [container] },
  })
  await kubectlOk([
    'wait',
    `pod/${name}`,
    '--for=jsonpath={.status.phase}=Succeeded',
    '--timeout=300s',
  ])

  expect(await kubectlOk(['logs', name])).toContain(': 1 row, ')
})

function readVersion(): string {
  const text = readFileSync(join(repository, 'package.json'), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
