/** What the cluster changes on this machine: kernel settings, iptables rules and a network bridge. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runOk, run } from '../command.ts'
import { network, writeRunJson } from './files.ts'

/** The kernel settings that the kubelet, kube-proxy and CNI change. */
const settings = [
  'vm/overcommit_memory',
  'vm/panic_on_oom',
  'kernel/panic',
  'kernel/panic_on_oops',
  'kernel/keys/root_maxkeys',
  'kernel/keys/root_maxbytes',
  'net/ipv4/ip_forward',
  'net/ipv4/conf/all/route_localnet',
]

const families = ['iptables', 'ip6tables']
const tables = ['filter', 'nat', 'mangle']

/** The settings before the start, and the path of the kube-proxy that will create rules. */
type HostState = { settings: Record<string, string>; kubeProxy: string }

/** Records the state of the machine before the start. Throws if the machine already runs Kubernetes. */
export async function recordHostState(runDir: string, kubeProxy: string): Promise<void> {
  if ((await rulesOf('iptables', 'nat')).some((rule) => rule.includes(' KUBE-SERVICES'))) {
    throw new Error(
      'this machine has iptables chains of Kubernetes, so the local provider cannot run here: stop the node, or remove ' +
        'chains that a node left behind with kube-proxy --cleanup',
    )
  }
  const record: HostState = { settings: kernelSettings(), kubeProxy }
  // Written before the first change: without this file there is nothing to restore.
  writeRunJson(runDir, 'machine.json', record)
}

/** Restores the recorded state. Without a record it changes nothing, because any rules belong to another node. */
export async function restoreHostState(runDir: string): Promise<void> {
  const file = join(runDir, 'machine.json')
  if (!existsSync(file)) return
  const { settings, kubeProxy } = JSON.parse(readFileSync(file, 'utf8')) as HostState
  await removeRules(kubeProxy)
  await removeNodeAddress()
  restoreKernelSettings(settings)
}

/** Returns the settings that a cluster changes. */
export function kernelSettings(): Record<string, string> {
  const values = settings.flatMap((name) => {
    const value = setting(name)
    return value === undefined ? [] : [[name, value]]
  })
  return Object.fromEntries(values) as Record<string, string>
}

/** Writes the settings whose values differ. */
export function restoreKernelSettings(values: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(values)) {
    // A setting that cannot be written was not changed.
    if (setting(name) !== value) writeFileSync(`/proc/sys/${name}`, value)
  }
}

/** Gives the node an address on a bridge without ports, where pods reach the API server. */
export async function addNodeAddress(): Promise<void> {
  await removeNodeAddress()
  await runOk('ip', ['link', 'add', network.bridge, 'type', 'bridge'])
  await runOk('ip', ['address', 'add', `${network.nodeAddress}/32`, 'dev', network.bridge])
  await runOk('ip', ['link', 'set', network.bridge, 'up'])
}

async function removeNodeAddress(): Promise<void> {
  await run('ip', ['link', 'delete', network.bridge])
}

/**
 * Removes the iptables rules of kube-proxy and the CNI plugins. kube-proxy cleans up its own; those of the portmap plugin
 * stay behind because the pods are killed, not deleted.
 */
async function removeRules(kubeProxy: string): Promise<void> {
  if (existsSync(kubeProxy)) await run(kubeProxy, ['--cleanup'])
  for (const [program, table] of families.flatMap((f) => tables.map((t) => [f, t] as const))) {
    const rules = await rulesOf(program, table)
    const leftBehind = /^-[NA] (?:KUBE-|CNI-)|-j (?:KUBE-|CNI-)/
    const ours = rules.filter((rule) => leftBehind.test(rule))
    const chains = ours.filter((rule) => rule.startsWith('-N ')).map((rule) => rule.slice(3))
    // Jumps first, then the content of each chain, because a chain in use cannot be deleted.
    for (const rule of ours.filter((rule) => rule.startsWith('-A ') && !chainIn(chains, rule))) {
      await run('sh', ['-c', `${program} -w -t ${table} -D ${rule.slice(3)}`])
    }
    for (const chain of chains) await run(program, ['-w', '-t', table, '-F', chain])
    for (const chain of chains) await run(program, ['-w', '-t', table, '-X', chain])
  }
}

function chainIn(chains: readonly string[], rule: string): boolean {
  return chains.includes(rule.split(' ')[1] ?? '')
}

async function rulesOf(program: string, table: string): Promise<string[]> {
  return (await run(program, ['-w', '-t', table, '-S'])).stdout.split('\n').filter(Boolean)
}

function setting(name: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/${name}`, 'utf8').trim()
  } catch {
    return undefined
  }
}
