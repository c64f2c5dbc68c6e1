import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runOk, run } from './command.ts'

const moduleDir = fileURLToPath(new URL('../cluster/', import.meta.url))
const sources = ['go.mod', 'go.sum', 'main.go', 'pause/main.go']
const components = [
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kube-proxy',
  'kubelet',
  'kubectl',
]
const goNeeded = [1, 26] as const

/** Where the built programs are: named after the Kubernetes version and the sources, so that a changed go.mod rebuilds. */
function binaryDirectory(): string {
  const hash = createHash('sha256')
  for (const file of sources) hash.update(`${file}\0`).update(readFileSync(join(moduleDir, file)))
  const key = `${kubernetesVersion()}-${process.arch}-${hash.digest('hex').slice(0, 12)}`
  return join(cacheDirectory(), key)
}

/** Builds etcd and all of Kubernetes as one program, unless that is done; about ten minutes on two cores the first time. */
export async function buildCluster(): Promise<string> {
  const dir = binaryDirectory()
  if (existsSync(join(dir, 'cluster'))) return dir
  await checkGo()
  console.log(`e2e: building Kubernetes ${kubernetesVersion()} into ${dir}, once (minutes)`)
  await buildInto(dir, async (partial) => {
    const version = kubernetesVersion()
    const [major, minor] = version.slice(1).split('.')
    const variable = 'k8s.io/component-base/version'
    const flags = [
      '-s -w',
      `-X ${variable}.gitVersion=${version}`,
      `-X ${variable}.gitMajor=${major} -X ${variable}.gitMinor=${minor}`,
    ]
    await goBuild(join(partial, 'cluster'), '.', flags.join(' '))
    for (const name of components) symlinkSync('cluster', join(partial, name))
    await goBuild(join(partial, 'pause'), './pause', '-s -w')
  })
  return dir
}

/** Builds only the static program that the images of the tests run; for clusters that come from elsewhere. */
export async function buildPause(): Promise<string> {
  const full = join(binaryDirectory(), 'pause')
  if (existsSync(full)) return full
  const dir = `${binaryDirectory()}-pause`
  if (!existsSync(join(dir, 'pause'))) {
    await checkGo()
    await buildInto(dir, (partial) => goBuild(join(partial, 'pause'), './pause', '-s -w'))
  }
  return join(dir, 'pause')
}

/** Builds a published Go program, unless that is done, and returns its file. A version that is named so is always the same. */
export async function buildTool(module: string, version: string): Promise<string> {
  const dir = join(cacheDirectory(), `${module.replaceAll('/', '-')}-${version}-${process.arch}`)
  const program = join(dir, module.split('/').findLast((part) => !/^v\d+$/.test(part)) ?? '')
  if (!existsSync(program)) {
    await checkGo()
    console.log(`e2e: building ${module} ${version} into ${dir}, once (minutes)`)
    await buildInto(dir, async (partial) => {
      await runOk('go', ['install', `${module}@${version}`], { env: { GOBIN: partial } })
    })
  }
  return program
}

/** A build that is cut off leaves a directory of another name behind, never half of a finished one. */
async function buildInto(dir: string, build: (partial: string) => Promise<void>): Promise<void> {
  const partial = `${dir}.partial`
  rmSync(partial, { recursive: true, force: true })
  mkdirSync(partial, { recursive: true })
  await build(partial)
  rmSync(dir, { recursive: true, force: true })
  renameSync(partial, dir)
}

async function goBuild(output: string, target: string, ldflags: string): Promise<void> {
  const args = ['build', '-trimpath', '-ldflags', ldflags, '-o', output, target]
  await runOk('go', args, { cwd: moduleDir, env: target === '.' ? {} : { CGO_ENABLED: '0' } })
}

export async function checkGo(): Promise<void> {
  const needed = goNeeded.join('.')
  const result = await run('go', ['version']).catch(() => undefined)
  if (result === undefined || result.code !== 0) {
    throw new Error(`building the cluster needs Go ${needed} or later, and there is no go in PATH`)
  }
  const [, major = 0, minor = 0] = /go(\d+)\.(\d+)/.exec(result.stdout)?.map(Number) ?? []
  if (major > goNeeded[0] || (major === goNeeded[0] && minor >= goNeeded[1])) return
  throw new Error(
    `building the cluster needs Go ${needed} or later; this is ${result.stdout.trim()}`,
  )
}

function kubernetesVersion(): string {
  const required = /^\tk8s\.io\/kubernetes (v[\d.]+)$/m.exec(
    readFileSync(join(moduleDir, 'go.mod'), 'utf8'),
  )
  if (required?.[1] === undefined) throw new Error(`${moduleDir}go.mod requires no Kubernetes`)
  return required[1]
}

/** Where everything is that is built or installed once. */
export function cacheDirectory(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'berth-e2e')
}
