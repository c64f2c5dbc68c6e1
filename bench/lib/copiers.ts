/** The copy tools of this machine, each with the command line for the same work. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { existsSync } from 'node:fs'

/** Concurrent images of every tool. */
export const atOnce = 4

export interface Job {
  readonly source: string
  readonly target: string
  /** `repository:tag`, the same on both registries. */
  readonly images: readonly string[]
  /** A directory for files that a tool needs. */
  readonly directory: string
}

export interface Copier {
  readonly name: string
  /** A shell line. */
  copy(job: Job): string
  /** Detects whether tags have moved; null if the tool cannot do that. */
  check(job: Job): string | null
}

export interface Cost {
  readonly seconds: number
  readonly cpuSeconds: number
  /** Peak memory of the largest process. */
  readonly peakBytes: number
}

export function copiers(berthMain: string): readonly Copier[] {
  const berth = `${process.execPath} ${berthMain}`
  const pairs = (job: Job) =>
    write(
      job,
      'pairs',
      job.images.map((image) => `${job.source}/${image}=${job.target}/${image}`),
    )
  const both: Copier[] = [
    {
      name: 'berth',
      copy: (job) => `xargs -n 2000 ${berth} mirror -q --jobs ${atOnce} < ${pairs(job)}`,
      check: (job) => `xargs -n 2000 ${berth} drift -q < ${pairs(job)}`,
    },
    {
      name: 'berth --deep',
      copy: (job) => `xargs -n 2000 ${berth} mirror -q --deep --jobs ${atOnce} < ${pairs(job)}`,
      check: () => null,
    },
  ]
  const others: Copier[] = [
    {
      name: 'regsync',
      copy: (job) => `regsync once -c ${regsyncFile(job)}`,
      check: (job) => `regsync check -c ${regsyncFile(job)}`,
    },
    {
      name: 'crane',
      copy: (job) => `xargs -P ${atOnce} -L 1 crane --insecure cp < ${spaced(job)}`,
      check: (job) => `xargs -P ${atOnce} -L 1 crane --insecure digest < ${names(job)}`,
    },
    {
      name: 'skopeo',
      copy: (job) =>
        `xargs -P ${atOnce} -L 1 skopeo copy -q --all --preserve-digests --src-tls-verify=false --dest-tls-verify=false < ${skopeoNames(job)}`,
      check: () => null,
    },
  ]
  return [...both, ...others.filter(({ name }) => isInPath(name))]
}

function isInPath(name: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((each) => existsSync(join(each, name)))
}

function write({ directory }: Job, name: string, lines: readonly string[]): string {
  const file = join(directory, name)
  writeFileSync(file, `${lines.join('\n')}\n`)
  return file
}

const spaced = (job: Job) =>
  write(
    job,
    'spaced',
    job.images.map((image) => `${job.source}/${image} ${job.target}/${image}`),
  )
const names = (job: Job) =>
  write(
    job,
    'names',
    job.images.map((image) => `${job.source}/${image}`),
  )
const skopeoNames = (job: Job) =>
  write(
    job,
    'skopeo',
    job.images.map((image) => `docker://${job.source}/${image} docker://${job.target}/${image}`),
  )

function regsyncFile(job: Job): string {
  const creds = [job.source, job.target].map(
    (registry) => `  - { registry: '${registry}', tls: disabled }`,
  )
  const sync = job.images.map(
    (image) =>
      `  - { source: '${job.source}/${image}', target: '${job.target}/${image}', type: image }`,
  )
  const defaults = ['defaults:', `  parallel: ${atOnce}`, '  fastCopy: false']
  return write(job, 'regsync.yml', [
    'version: 1',
    'creds:',
    ...creds,
    ...defaults.slice(0, 2),
    'sync:',
    ...sync,
  ])
}

/** Runs a shell line; throws if it fails, unless `mayFail`. CPU time is what the shell counts for all its processes. */
export async function measure(line: string, mayFail = false): Promise<Cost> {
  const script = `TIMEFORMAT='%R %U %S'; time { ${line} ; } 3>&2 2>/dev/null >/dev/null`
  const child = spawn('bash', ['-c', script], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
  let peakBytes = 0
  const timer = setInterval(() => {
    peakBytes = Math.max(peakBytes, largestBelow(child.pid ?? 0))
  }, 10)
  const [code] = (await once(child, 'close')) as [number]
  clearInterval(timer)
  const [seconds = NaN, user = NaN, system = NaN] = said.trim().split(/\s+/).slice(-3).map(Number)
  if (code !== 0 && !mayFail) throw new Error(`exit code ${code}: ${line}\n${said}`)
  return { seconds, cpuSeconds: user + system, peakBytes }
}

/** The peak memory of the largest descendant process. */
function largestBelow(root: number): number {
  const parents = new Map<number, number>()
  for (const entry of readdirSync('/proc')) {
    if (!/^[0-9]+$/.test(entry)) continue
    const stat = read(`/proc/${entry}/stat`)
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    parents.set(Number(entry), Number(fields[1]))
  }
  const isBelow = (pid: number): boolean => {
    const parent = parents.get(pid)
    return parent === root || (parent !== undefined && parent > 1 && isBelow(parent))
  }
  const peaks = [...parents.keys()].filter(isBelow).map((pid) => {
    const [, kilobytes = '0'] = /^VmHWM:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`)) ?? []
    return Number(kilobytes) * 1024
  })
  return Math.max(0, ...peaks)
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
