/** Ends containers without containerd, by their control groups. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ProcessRecord } from '../processes.ts'
import { killProcess, startTimeOf } from '../processes.ts'
import { waitFor } from '../wait.ts'

const controlGroups = '/sys/fs/cgroup'

/** containerd's namespace for Kubernetes, and the name of the control group above those of its containers. */
const namespace = 'k8s.io'

/**
 * Kills every container and every shim and removes the containers' control groups. Stop containerd first. The run directory
 * lists the containers, and their control groups list the processes.
 */
export async function removeContainers(runDir: string): Promise<void> {
  const groups = containerGroups(runDir)
  const members = () => groups.flatMap(pidsIn)
  for (const pid of [...members(), ...shims(runDir)]) await kill(pid)
  await waitFor('the containers to exit', () => members().length === 0)
  for (const group of groups) removeGroup(group)
  // This fails if another containerd on this machine runs containers for Kubernetes.
  for (const hierarchy of hierarchies()) removeGroup(join(hierarchy, namespace))
}

/** Of all containers together, in processes. */
const containerWeight = 16

/**
 * Creates the control group above those of the containers, with a share of CPU time as on a busy node, where the pods have more than
 * the system. By default all containers together have as much as one process of this machine, and probes time out.
 */
export function createContainerGroup(): void {
  const values = { 'cpu.shares': 1_024 * containerWeight, 'cpu.weight': 100 * containerWeight }
  // The controller of cgroups v1, and the only hierarchy of v2.
  for (const hierarchy of [join(controlGroups, 'cpu'), controlGroups]) {
    if (!existsSync(join(hierarchy, 'cgroup.procs'))) continue
    mkdirSync(join(hierarchy, namespace), { recursive: true })
    for (const [name, value] of Object.entries(values)) {
      const file = join(hierarchy, namespace, name)
      // With v2 it exists only if the root delegates the controller.
      if (existsSync(file)) writeFileSync(file, `${value}`)
    }
  }
}

/** Kills the processes of one container, as the kernel does when memory runs out. The shim stays. */
export async function killContainer(id: string): Promise<void> {
  for (const pid of containerProcesses(id)) await kill(pid)
}

/** Returns the pids of the processes of one container; throws if it has none. */
export function containerProcesses(id: string): number[] {
  const groups = hierarchies().map((hierarchy) => join(hierarchy, namespace, id))
  const members = new Set(groups.filter((group) => existsSync(group)).flatMap(pidsIn))
  if (members.size === 0) throw new Error(`found no process of container ${id}`)
  return [...members]
}

function containerGroups(runDir: string): string[] {
  const tasks = join(runDir, 'containerd/state/io.containerd.runtime.v2.task', namespace)
  const ids = existsSync(tasks) ? readdirSync(tasks) : []
  return hierarchies()
    .flatMap((hierarchy) => ids.map((id) => join(hierarchy, namespace, id)))
    .filter((group) => existsSync(group))
}

/** With cgroups v1 each controller has a hierarchy; with v2 there is only the root. */
function hierarchies(): string[] {
  if (!existsSync(controlGroups)) return []
  const entries = readdirSync(controlGroups, { withFileTypes: true })
  const below = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
  return [controlGroups, ...below.map((name) => join(controlGroups, name))]
}

function pidsIn(group: string): number[] {
  try {
    const text = readFileSync(join(group, 'cgroup.procs'), 'utf8')
    return text.split('\n').filter(Boolean).map(Number)
  } catch {
    return []
  }
}

function removeGroup(group: string): void {
  try {
    rmdirSync(group)
  } catch {
    // The group does not exist, or still has members.
  }
}

/** Finds shims by their arguments, which contain the socket of their containerd. */
function shims(runDir: string): number[] {
  const socket = `\0-address\0${runDir}/containerd.sock\0`
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && commandLine(name).includes(socket))
    .map(Number)
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}

async function kill(pid: number): Promise<void> {
  const startTime = startTimeOf(pid)
  if (startTime === undefined) return
  const record: ProcessRecord = { name: `container process ${pid}`, pid, startTime }
  await killProcess(record)
}
