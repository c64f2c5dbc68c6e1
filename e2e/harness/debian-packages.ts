/** Programs that come from Debian packages. */
import { accessSync, constants, existsSync, mkdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { buildOnce } from './cached-build.ts'
import type { Cluster } from './cluster.ts'
import { runOk } from './command.ts'
import { logStep } from './log.ts'
import { cacheDirectory } from './paths.ts'

/** Programs that the local provider runs, each with the Debian package that contains it. */
const localPrograms: readonly { file: string; package: string }[] = [
  { file: 'docker-registry', package: 'docker-registry' },
  { file: 'containerd', package: 'containerd' },
  { file: 'containerd-shim-runc-v2', package: 'containerd' },
  { file: 'ctr', package: 'containerd' },
  { file: 'runc', package: 'runc' },
  { file: '/usr/lib/cni/ptp', package: 'containernetworking-plugins' },
  { file: '/usr/lib/cni/host-local', package: 'containernetworking-plugins' },
  { file: 'iptables', package: 'iptables' },
  { file: 'ip', package: 'iproute2' },
  { file: 'openssl', package: 'openssl' },
  { file: 'unshare', package: 'util-linux' },
  { file: 'nsenter', package: 'util-linux' },
  { file: 'perl', package: 'perl-base' },
  // For moto, which is installed into a virtual environment.
  { file: 'python3', package: 'python3-venv' },
  { file: '/usr/bin/chromium', package: 'chromium' },
]

/** The packages that the tests need with any provider. */
const testPackages = ['docker-registry', 'perl-base', 'python3-venv', 'chromium']

/** Installs the missing packages if `mayInstallPackages`; otherwise throws with the command to type. */
export async function ensureDebianPackages(provider: Cluster['provider']): Promise<void> {
  const missing = missingPackages(provider)
  if (missing.length === 0) return
  const args = ['install', '-y', '--no-install-recommends', ...missing]
  const command = `apt-get ${args.join(' ')}`
  if (!mayInstallPackages() || !existsSync('/etc/debian_version')) {
    throw new Error(
      `the ${provider} provider needs packages that are not installed: ${missing.join(', ')}\n` +
        `install them (Debian, Ubuntu) with: ${command}`,
    )
  }
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  await logStep(command, async () => {
    await runOk('apt-get', ['update'], { env })
    await runOk('apt-get', args, { env })
  })
}

/** Whether this run may install packages: in CI, or with BERTH_E2E_INSTALL=1. */
export function mayInstallPackages(): boolean {
  return process.env['CI'] === 'true' || process.env['BERTH_E2E_INSTALL'] === '1'
}

/** Unpacks a package, once, and returns the directory. Installing it would start its service. */
export async function unpackDebianPackage(name: string): Promise<string> {
  const directory = join(cacheDirectory(), `${name}-${process.arch}`)
  await buildOnce(directory, `unpacking ${name}`, async (partial) => {
    mkdirSync(partial)
    await runOk('apt-get', ['download', name], { cwd: partial })
    await runOk('sh', ['-c', `dpkg -x ${name}_*.deb . && rm ${name}_*.deb`], { cwd: partial })
  })
  return directory
}

function missingPackages(provider: Cluster['provider']): string[] {
  const needed = localPrograms.filter(
    (program) => provider === 'local' || testPackages.includes(program.package),
  )
  const missing = needed.filter(({ file }) => !isInstalled(file))
  return [...new Set(missing.map((program) => program.package))]
}

/** Whether a program exists: at its absolute path, or by name in PATH, /usr/sbin or /sbin. */
export function isInstalled(file: string): boolean {
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin']
  const candidates = file.startsWith('/') ? [file] : directories.map((dir) => join(dir, file))
  return candidates.some(isExecutable)
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
