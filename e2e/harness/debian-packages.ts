import { accessSync, constants, existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import type { Cluster } from './cluster.ts'
import { runOk } from './command.ts'

/** A program that the local provider runs, and the Debian package that has it. */
const tools: readonly { file: string; package: string }[] = [
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
  // moto, which stands for AWS, is installed into a virtual environment.
  { file: 'python3', package: 'python3-venv' },
]

/** What the tests themselves start or call, wherever the cluster comes from. */
const testPackages = ['docker-registry', 'perl-base', 'python3-venv']

/** Installs missing packages where that is asked for (CI, or BERTH_E2E_INSTALL=1); elsewhere it says what to type. */
export async function ensureDebianPackages(provider: Cluster['provider']): Promise<void> {
  const missing = missingPackages(provider)
  if (missing.length === 0) return
  const command = ['apt-get', 'install', '-y', '--no-install-recommends', ...missing]
  const asked = process.env['CI'] === 'true' || process.env['BERTH_E2E_INSTALL'] === '1'
  if (!asked || !existsSync('/etc/debian_version')) {
    throw new Error(
      `the ${provider} provider needs packages that are not installed: ${missing.join(', ')}\n` +
        `install them (Debian, Ubuntu) with: ${command.join(' ')}`,
    )
  }
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  console.log(`e2e: ${command.join(' ')}`)
  await runOk('apt-get', ['update'], { env })
  await runOk('apt-get', command.slice(1), { env })
}

function missingPackages(provider: Cluster['provider']): string[] {
  const needed = tools.filter((tool) => provider === 'local' || testPackages.includes(tool.package))
  return [...new Set(needed.filter(({ file }) => !isInstalled(file)).map((tool) => tool.package))]
}

/** Whether a program is in PATH, or where root's programs are, or at a path of its own. */
export function isInstalled(file: string): boolean {
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin']
  const candidates = file.startsWith('/') ? [file] : directories.map((dir) => join(dir, file))
  return candidates.some((candidate) => {
    try {
      accessSync(candidate, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}
