import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { currentCluster } from '../harness/cluster.ts'
import { runOk } from '../harness/command.ts'
import { helmOk } from '../harness/helm.ts'
import { applyKustomization, waitForRollout } from '../harness/install.ts'
import { getJson, kubectlOk, remove, removeNamespaces } from '../harness/kubectl.ts'
import { removeNodeHost, setNodeHost } from '../harness/node-hosts.ts'
import { repository } from '../harness/paths.ts'
import { type Registry, startRegistry } from '../harness/registry.ts'
import { type Arm64Machine, installQemu, startArm64Machine } from './arm64-machine.ts'
import { downloadMaterials, releasePrograms, type ReleasePrograms } from './release-programs.ts'

/** A release as users get it: built and pushed by `npm run release`, verified by cosign, and installed in each way. */
const cluster = currentCluster()
const host = 'release.invalid'
const directory = mkdtempSync(join(tmpdir(), 'berth-release-'))
const out = join(directory, 'release')
const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as {
  version: string
}
const example = join(repository, 'webhook-config/examples/docker-hub.yaml')
const releaseMs = 1_800_000
let registry: Registry
let programs: ReleasePrograms
let digests: string

/** Runs the release as `npm run` does, and returns its output: the digests of the images and the checksums of the files. */
async function makeRelease(to: string, ...args: string[]): Promise<string> {
  const script = join(repository, 'tools/release/release.ts')
  const options = ['--dry-run', '--registry', host, '--out', to, ...args]
  return (await runOk(process.execPath, [script, ...options])).replaceAll(to, 'OUT')
}

const file = (suffix: string) => join(out, `berth-${version}-${suffix}`)

async function unpack(suffix: string): Promise<string> {
  const to = join(directory, suffix)
  mkdirSync(to)
  await runOk('tar', ['-xzf', file(suffix), '-C', to])
  return to
}

beforeAll(async () => {
  programs = await releasePrograms()
  downloadMaterials()
  await installQemu()
  registry = await startRegistry({ ...cluster, address: '127.0.0.1' }, { name: 'release' })
  setNodeHost(cluster, host, [registry.url])
  digests = await makeRelease(out, '--endpoint', registry.url)
}, 2 * releaseMs)

afterAll(async () => {
  removeNodeHost(cluster, host)
  await registry?.stop()
  rmSync(directory, { recursive: true, force: true })
})

describe('verification', () => {
  const key = () => ['--key', join(out, 'cosign.pub'), '--insecure-ignore-tlog']
  const cosign = (...args: string[]) =>
    runOk(programs.cosign, args, { env: { TUF_ROOT: join(directory, 'tuf') } })

  test('sha256sum accepts every file, and cosign the signature of the checksums', async () => {
    const sums = join(out, 'SHA256SUMS')
    await runOk('sha256sum', ['--check', '--strict', sums], { cwd: out })
    await cosign('verify-blob', ...key(), '--bundle', `${sums}.sigstore.json`, sums)

    const listed = readFileSync(sums, 'utf8').match(/(?<= {2}).+$/gm)
    const signed = ['SHA256SUMS', 'SHA256SUMS.sigstore.json', 'cosign.pub', 'oci']
    expect(readdirSync(out).toSorted()).toEqual(
      [...(listed ?? []), ...signed, `berth-${version}.intoto.jsonl`].toSorted(),
    )
  })

  test.each(['berth', 'charts/berth'])('cosign accepts the signature of %s', async (name) => {
    const image = `${registry.host}/${name}:${version}`
    const output = await cosign('verify', ...key(), '--allow-http-registry', image)

    const [{ critical }] = JSON.parse(output) as [{ critical: { image: Record<string, string> } }]
    expect(digests).toContain(
      `${host}/${name}:${version}@${critical.image['docker-manifest-digest']}\n`,
    )
  })

  test.each([
    ['slsaprovenance1', 'buildDefinition'],
    ['cyclonedx', 'components'],
  ])('cosign accepts the attestation %s', async (type, field) => {
    const image = `${registry.host}/berth:${version}`
    const args = [...key(), '--allow-http-registry', '--type', type, image]
    const { payload } = JSON.parse(await cosign('verify-attestation', ...args)) as {
      payload: string
    }
    const { predicate } = JSON.parse(Buffer.from(payload, 'base64').toString()) as {
      predicate: object
    }

    expect(predicate).toHaveProperty(field)
  })

  test('cosign rejects another key', async () => {
    const env = { COSIGN_PASSWORD: '' }
    await runOk(programs.cosign, ['generate-key-pair'], { cwd: directory, env })
    const other = ['--key', join(directory, 'cosign.pub'), '--insecure-ignore-tlog']
    const image = `${registry.host}/berth:${version}`

    await expect(cosign('verify', ...other, '--allow-http-registry', image)).rejects.toThrow(
      /invalid signature|no matching signatures/,
    )
  })
})

describe('installation', () => {
  const images = async (namespace: string) => {
    const { items } = JSON.parse(
      await kubectlOk(['get', 'pods', '-n', namespace, '-o', 'json']),
    ) as { items: { spec: { containers: { image: string }[] } }[] }
    return new Set(items.flatMap(({ spec }) => spec.containers.map(({ image }) => image)))
  }

  test('helm installs the chart from the registry, and helm test passes', async () => {
    const namespace = 'released'
    const chart = `oci://${registry.host}/charts/berth`
    const flags = ['--version', version, '--plain-http', '-n', namespace, '--create-namespace']
    try {
      await helmOk(['install', 'berth', chart, ...flags])
      await waitForRollout('berth-webhook', namespace)
      await waitForRollout('berth-controller', namespace)

      expect(await images(namespace)).toEqual(new Set([`${host}/berth:${version}`]))
      expect(await helmOk(['test', 'berth', '-n', namespace, '--timeout', '300s'])).toMatch(
        /Phase:\s+Succeeded/,
      )
    } finally {
      await helmOk(['uninstall', 'berth', '-n', namespace, '--ignore-not-found'])
      await remove('mutatingwebhookconfiguration', 'berth')
      await removeNamespaces(namespace)
    }
  })

  test('kubectl apply -k installs the manifests', async () => {
    const base = join(await unpack('manifests.tar.gz'), `berth-${version}`, 'deploy/base')
    try {
      await applyKustomization(base)
      await waitForRollout()
      await waitForRollout('berth-controller')

      expect(await images('berth-system')).toEqual(new Set([`${host}/berth:${version}`]))
      const { webhooks } = await getJson<{ webhooks: { clientConfig: { caBundle?: string } }[] }>(
        'mutatingwebhookconfiguration',
        'berth',
      )
      expect(webhooks.map(({ clientConfig }) => clientConfig.caBundle)).not.toContain(undefined)
    } finally {
      await kubectlOk(['delete', '-k', base, '--ignore-not-found'])
    }
  })

  test('npm installs the package without a network, and it starts on the oldest Node.js', async () => {
    const prefix = join(directory, 'npm')
    await runOk('npm', ['install', '--global', '--offline', '--prefix', prefix, file('npm.tgz')])
    const program = join(prefix, 'lib/node_modules/berth/bin/berth.js')
    const berth = (...args: string[]) => runOk(programs.node, [program, ...args])

    expect(readdirSync(join(prefix, 'bin')).toSorted()).toEqual(['berth', 'kubectl-berth'])
    expect(await berth('--version')).toBe(`${version}\n`)
    expect(await berth('check', '--config', example)).toContain(': 1 row, ')
    const files = readdirSync(join(prefix, 'lib/node_modules/berth'))
    expect(files).toEqual(expect.arrayContaining(['docs', 'webhook-config', 'LICENSE']))
  })
})

describe('executables', () => {
  test('the one of this machine does what the package does', async () => {
    const program = join(await unpack('linux-amd64.tar.gz'), 'berth')
    const berth = (...args: string[]) => runOk(program, args, { cwd: directory })

    expect(await berth('--version')).toBe(`${version}\n`)
    expect(await berth('check', '--config', example)).toContain(': 1 row, ')
    expect(await berth('install', '--image', 'm.corp/berth:1', '--config', example)).toContain(
      'kind: Deployment',
    )
    expect(await berth('dev', '--once')).toContain('admitted in')
  })

  test('krew accepts the plugin manifest and installs the plugin', async () => {
    const manifest = join(out, 'berth.yaml')
    const env = { KREW_ROOT: join(directory, 'krew') }
    await runOk(programs.validateKrew, ['-manifest', manifest, '-skip-install'])
    const archive = `--archive=${file('linux-amd64.tar.gz')}`
    await runOk(programs.krew, ['install', `--manifest=${manifest}`, archive], { env })
    const path = `${join(directory, 'krew/bin')}:${process.env['PATH']}`

    expect(await runOk(cluster.kubectl, ['berth', '--version'], { env: { PATH: path } })).toBe(
      `${version}\n`,
    )
  })
})

describe('on arm64', () => {
  let machine: Arm64Machine

  beforeAll(async () => {
    const root = join(directory, 'arm64')
    machine = await startArm64Machine(join(out, 'oci'), `${host}/berth:${version}`, root)
    copyFileSync(example, join(root, 'example.yaml'))
  })

  test('the image runs', async () => {
    const { runImage } = machine

    expect(await machine.run('/nodejs/bin/node', '--print', 'process.arch')).toBe('arm64\n')
    expect(await runImage('--version')).toBe(`${version}\n`)
    expect(await runImage('check', '--config', '/example.yaml')).toContain(': 1 row, ')
    expect(await runImage('dev', '--once')).toContain('admitted in')
  })

  test('the executable runs', async () => {
    const program = join(await unpack('linux-arm64.tar.gz'), 'berth')
    copyFileSync(program, join(machine.root, 'berth'))

    // e_machine of the ELF header: EM_AARCH64.
    expect(readFileSync(program).readUInt16LE(18)).toBe(183)
    expect(await machine.run('/berth', '--version')).toBe(`${version}\n`)
    expect(await machine.run('/berth', 'check', '--config', '/example.yaml')).toContain(': 1 row, ')
    expect(await machine.run('/berth', 'dev', '--once')).toContain('admitted in')
  })
})

test(
  'a second release in another directory has the same files and digests',
  async () => {
    // Another checkout of the same commit, with the same packages.
    const checkout = join(directory, 'checkout')
    await runOk('git', ['clone', '--quiet', repository, checkout])
    cpSync(join(repository, 'node_modules'), join(checkout, 'node_modules'), {
      recursive: true,
      verbatimSymlinks: true,
    })
    const again = join(directory, 'again')
    const script = join(checkout, 'tools/release/release.ts')
    const options = ['--dry-run', '--registry', host, '--out', again]
    const output = await runOk(process.execPath, [script, ...options], { cwd: checkout })

    expect(output.replaceAll(again, 'OUT')).toBe(digests)
  },
  releaseMs,
)
