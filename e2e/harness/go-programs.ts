/**
 * The Go programs of the tests: Kubernetes, the program in the tests' images, Helm and kustomize. The versions are those
 * of e2e/cluster/go.mod. Each program is built once, into a directory named after the Kubernetes version and a hash of the
 * sources, so that a change of go.mod builds it again.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { buildOnce } from './cached-build.ts'
import { run, runOk } from './command.ts'
import { cacheDirectory, repository } from './paths.ts'

const moduleDirectory = join(repository, 'e2e/cluster')
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
const minimumGo = [1, 26] as const

/** The version of Kubernetes that the tests run, such as `v1.36.3`. */
export const kubernetesVersion = readKubernetesVersion()

/** Builds etcd and all of Kubernetes as one program; returns the directory with a link for each component. */
export async function buildKubernetes(): Promise<string> {
  const directory = join(programDirectory(), 'kubernetes')
  await buildOnce(directory, `building Kubernetes ${kubernetesVersion}`, async (partial) => {
    const [major, minor] = kubernetesVersion.slice(1).split('.')
    const variable = 'k8s.io/component-base/version'
    const versionFlags = [
      `-X ${variable}.gitVersion=${kubernetesVersion}`,
      `-X ${variable}.gitMajor=${major} -X ${variable}.gitMinor=${minor}`,
    ]
    mkdirSync(partial)
    await goBuild('.', join(partial, 'cluster'), { flags: versionFlags })
    for (const name of components) symlinkSync('cluster', join(partial, name))
  })
  return directory
}

/** Builds the static program that waits for a signal: every pod's sandbox, and the entry point of the tests' images. */
export function buildPause(): Promise<string> {
  return buildProgram('pause', './pause', { env: { CGO_ENABLED: '0' } })
}

/** Builds Helm and returns the program's path. */
export function buildHelm(): Promise<string> {
  return buildProgram('helm', 'helm.sh/helm/v3/cmd/helm')
}

/** Builds kustomize and returns the program's path. kubectl contains it too, but without `--enable-exec`. */
export function buildKustomize(): Promise<string> {
  return buildProgram('kustomize', 'sigs.k8s.io/kustomize/kustomize/v5')
}

/** Builds a published Go program at a version and returns its path. */
export async function buildPublishedProgram(packagePath: string, version: string): Promise<string> {
  const directory = `${packagePath.replaceAll('/', '-')}-${version}-${process.arch}`
  const target = join(cacheDirectory(), directory)
  await buildOnce(target, `building ${packagePath} ${version}`, async (partial) => {
    await checkGo()
    const args = ['install', ...buildFlags(), `${packagePath}@${version}`]
    await runOk('go', args, { env: { GOBIN: partial } })
  })
  return join(target, basename(packagePath))
}

async function buildProgram(
  name: string,
  packagePath: string,
  options: GoBuildOptions = {},
): Promise<string> {
  const program = join(programDirectory(), name)
  await buildOnce(program, `building ${name}`, (partial) => goBuild(packagePath, partial, options))
  return program
}

type GoBuildOptions = { flags?: readonly string[]; env?: Record<string, string> }

async function goBuild(
  packagePath: string,
  output: string,
  { flags = [], env = {} }: GoBuildOptions,
): Promise<void> {
  await checkGo()
  const args = ['build', ...buildFlags(flags), '-o', output, packagePath]
  await runOk('go', args, { cwd: moduleDirectory, env })
}

/**
 * All programs are built with the same flags of the compiler, so that Go compiles a package that several of them contain once.
 * -s -w: without debug tables the programs are half the size.
 */
function buildFlags(linkerFlags: readonly string[] = []): string[] {
  return ['-trimpath', '-ldflags', ['-s -w', ...linkerFlags].join(' ')]
}

async function checkGo(): Promise<void> {
  const needed = minimumGo.join('.')
  const result = await run('go', ['version']).catch(() => undefined)
  if (result === undefined || result.code !== 0) {
    throw new Error(`no go in PATH; install Go ${needed} or later to build the tests' programs`)
  }
  const [, major = 0, minor = 0] = /go(\d+)\.(\d+)/.exec(result.stdout)?.map(Number) ?? []
  if (major > minimumGo[0] || (major === minimumGo[0] && minor >= minimumGo[1])) return
  throw new Error(
    `${result.stdout.trim()} is too old to build the tests' programs; install Go ${needed} or later`,
  )
}

function programDirectory(): string {
  const hash = createHash('sha256')
  for (const file of sources) {
    hash.update(`${file}\0`).update(readFileSync(join(moduleDirectory, file)))
  }
  const digest = hash.digest('hex').slice(0, 12)
  return join(cacheDirectory(), `${kubernetesVersion}-${process.arch}-${digest}`)
}

function readKubernetesVersion(): string {
  const file = join(moduleDirectory, 'go.mod')
  const required = /^\tk8s\.io\/kubernetes (v[\d.]+)$/m.exec(readFileSync(file, 'utf8'))
  if (required?.[1] === undefined) throw new Error(`${file} does not require k8s.io/kubernetes`)
  return required[1]
}
