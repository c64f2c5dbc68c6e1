import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runOk, run } from '../command.ts'
import { network, writeRunJson } from './files.ts'

/** Kernel settings that the kubelet, kube-proxy and CNI set for the whole machine. */
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

/** How the machine was, and the kube-proxy that knows the rules it is about to make. */
type HostState = { settings: Record<string, string>; kubeProxy: string }

/** Notes how the machine is, before anything changes it; refuses one that runs Kubernetes already. */
export async function recordHostState(runDir: string, kubeProxy: string): Promise<void> {
  if ((await rulesOf('iptables', 'nat')).some((rule) => rule.includes(' KUBE-SERVICES'))) {
    throw new Error(
      'this machine has iptables chains of Kubernetes: a node runs here, or its chains were left behind ' +
        '(kube-proxy --cleanup removes them); the local provider needs a machine without them',
    )
  }
  const values = settings.flatMap((name) => {
    const value = setting(name)
    return value === undefined ? [] : [[name, value]]
  })
  const record: HostState = { settings: Object.fromEntries(values), kubeProxy }
  // The node's address and rules are made after this: without the file there is nothing to undo.
  writeRunJson(runDir, 'machine.json', record)
}

/** Puts the machine back to how `recordHostState` found it. If it never did, rules that look like ours are another's. */
export async function restoreHostState(runDir: string): Promise<void> {
  const file = join(runDir, 'machine.json')
  if (!existsSync(file)) return
  const { settings, kubeProxy } = JSON.parse(readFileSync(file, 'utf8')) as HostState
  await removeRules(kubeProxy)
  await removeNodeAddress()
  for (const [name, value] of Object.entries(settings)) {
    // One that cannot be written was not changed either.
    if (setting(name) !== value) writeFileSync(`/proc/sys/${name}`, value)
  }
}

/** Gives the node an address of its own, on a bridge with no ports: pods reach the API server there. */
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
 * Removes what kube-proxy and the CNI plugins put into iptables: kube-proxy knows its own chains, the host port chains of
 * the portmap plugin stay when the last pod is killed rather than deleted.
 */
async function removeRules(kubeProxy: string): Promise<void> {
  if (existsSync(kubeProxy)) await run(kubeProxy, ['--cleanup'])
  for (const [program, table] of families.flatMap((f) => tables.map((t) => [f, t] as const))) {
    const rules = await rulesOf(program, table)
    const left = /^-[NA] (?:KUBE-|CNI-)|-j (?:KUBE-|CNI-)/
    const ours = rules.filter((rule) => left.test(rule))
    const chains = ours.filter((rule) => rule.startsWith('-N ')).map((rule) => rule.slice(3))
    // Jumps first, then the content of each chain: a chain that is still used cannot be deleted.
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
