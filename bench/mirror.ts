/** Benchmarks copies between two real registries, and other tools: a first copy, a second one without work, tags, memory. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { freePorts } from '../e2e/harness/ports.ts'
import { oci, pushBlob, pushManifest } from '../e2e/harness/registry-client.ts'
import { buildBerth } from './lib/berth.ts'
import { type Copier, copiers, type Cost, type Job, measure } from './lib/copiers.ts'
import {
  type DockerRegistry,
  registryObstacle,
  startDockerRegistry,
} from './lib/docker-registry.ts'
import { figure, median, megabytes, rotated } from './lib/numbers.ts'
import { print, printTable, progress } from './lib/report.ts'
import { pushLargeBlob } from './lib/large-blob.ts'
import { makeWorkspace } from './lib/workspace.ts'

const layerBytes = 8 * 1024 * 1024
const sharedLayers = 2
const ownLayers = 2

interface Sizes {
  readonly images: number
  readonly tags: number
  readonly rounds: number
  readonly largeBytes: number
}

const full: Sizes = { images: 20, tags: 1_000, rounds: 3, largeBytes: 2 * 1024 ** 3 }
const short: Sizes = { images: 8, tags: 200, rounds: 1, largeBytes: 256 * 1024 ** 2 }

/** Prints four tables. */
export async function benchMirror(isShort: boolean): Promise<void> {
  const obstacle = registryObstacle()
  if (obstacle !== null) return print(`left out: ${obstacle}`)
  const sizes = isShort ? short : full
  const workspace = await makeWorkspace()
  const [port = 0] = await freePorts(1)
  const source = await startDockerRegistry(join(workspace.directory, 'source'), port)
  try {
    progress('filling the source')
    const images = await fill(source, sizes)
    const tools = copiers(buildBerth(workspace))
    const bench = { directory: workspace.directory, source, tools, sizes }
    await benchCopies(bench, images)
    await benchTags(bench)
    await benchMemory(bench)
  } finally {
    await source.stop()
    workspace.remove()
  }
}

interface Bench {
  readonly directory: string
  readonly source: DockerRegistry
  readonly tools: readonly Copier[]
  readonly sizes: Sizes
}

/** Images that share base layers and have layers that no other image has. The content is random, so it does not compress. */
async function fill({ url }: DockerRegistry, sizes: Sizes): Promise<string[]> {
  const base = Array.from({ length: sharedLayers }, () => randomBytes(layerBytes))
  const images: string[] = []
  for (let index = 0; index < sizes.images; index++) {
    const to = { registry: url, repository: `bench/image-${index}` }
    const own = Array.from({ length: ownLayers }, () => randomBytes(layerBytes))
    await pushImage(to, [...base, ...own], '1.0')
    images.push(`${to.repository}:1.0`)
  }
  return images
}

async function pushImage(
  to: { readonly registry: string; readonly repository: string },
  contents: readonly Buffer[],
  tag: string,
): Promise<void> {
  const layers = []
  for (const content of contents) layers.push(await pushBlob(to, oci.layer, content))
  const image = {
    os: 'linux',
    architecture: 'amd64',
    config: {},
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
  }
  const config = await pushBlob(to, oci.config, Buffer.from(JSON.stringify(image)))
  await pushManifest(to, oci.manifest, { config, layers }, tag)
}

/** Calls a function with an empty target registry and a directory for files. */
async function withTarget<Result>(
  { directory }: Bench,
  work: (target: DockerRegistry, files: string) => Promise<Result>,
): Promise<Result> {
  const place = join(directory, 'target')
  rmSync(place, { recursive: true, force: true })
  const [port = 0] = await freePorts(1)
  const target = await startDockerRegistry(place, port)
  const files = join(place, 'files')
  mkdirSync(files)
  try {
    return await work(target, files)
  } finally {
    await target.stop()
    rmSync(place, { recursive: true, force: true })
  }
}

async function benchCopies(bench: Bench, images: readonly string[]): Promise<void> {
  const { source, tools, sizes } = bench
  const firsts = new Map<string, Cost[]>()
  const seconds = new Map<string, Cost[]>()
  const counted = new Map<string, string>()
  for (let round = 0; round < sizes.rounds; round++) {
    for (const tool of rotated(tools, round)) {
      progress(`copies, round ${round + 1} of ${sizes.rounds}: ${tool.name}`)
      await withTarget(bench, async (target, files) => {
        const job: Job = { source: source.host, target: target.host, images, directory: files }
        add(firsts, tool.name, await measure(tool.copy(job)))
        const before = [source.requests(), target.requests()] as const
        add(seconds, tool.name, await measure(tool.copy(job)))
        counted.set(
          tool.name,
          `${described(before[0], source.requests())}; ${described(before[1], target.requests())}`,
        )
      })
    }
  }
  print(
    `#### First copy: ${sizes.images} images of ${sharedLayers} shared and ${ownLayers} own layers of 8 MiB\n`,
  )
  printCosts(tools, firsts)
  print('#### Second run, nothing to do\n')
  printCosts(tools, seconds)
  print('Requests of the second run (source; mirror):\n')
  for (const { name } of tools) print(`- ${name}: ${counted.get(name) ?? ''}`)
  print('')
}

function described(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
): string {
  const more = [...after].flatMap(([key, count]) => {
    const difference = count - (before.get(key) ?? 0)
    return difference === 0 ? [] : [`${difference} ${key}`]
  })
  return more.length === 0 ? 'none' : more.join(', ')
}

/** Many tags of one small image, on both registries. */
async function benchTags(bench: Bench): Promise<void> {
  const { source, tools, sizes } = bench
  const repository = 'bench/tags'
  const tags = Array.from({ length: sizes.tags }, (_, index) => `t${index}`)
  const push = async (url: string) => {
    const to = { registry: url, repository }
    const config = await pushBlob(to, oci.config, Buffer.from('{}'))
    for (const tag of tags) await pushManifest(to, oci.manifest, { config, layers: [] }, tag)
  }
  await push(source.url)
  const costs = new Map<string, Cost[]>()
  const checkers = tools.filter(
    (tool) =>
      tool.check({ source: '', target: '', images: [], directory: bench.directory }) !== null,
  )
  await withTarget(bench, async (target, files) => {
    await push(target.url)
    const images = tags.map((tag) => `${repository}:${tag}`)
    const job: Job = { source: source.host, target: target.host, images, directory: files }
    for (let round = 0; round < sizes.rounds; round++) {
      for (const tool of rotated(checkers, round)) {
        progress(`tags, round ${round + 1} of ${sizes.rounds}: ${tool.name}`)
        const line = tool.check(job)
        if (line !== null) add(costs, tool.name, await measure(line))
      }
    }
  })
  print(`#### ${sizes.tags} tags compared on both registries (crane: looked up on one)\n`)
  printCosts(checkers, costs)
}

async function benchMemory(bench: Bench): Promise<void> {
  const { source, tools, sizes } = bench
  const repository = 'bench/large'
  const to = { registry: source.url, repository }
  progress('pushing a large layer')
  const layer = await pushLargeBlob(to, sizes.largeBytes)
  const config = await pushBlob(to, oci.config, Buffer.from('{}'))
  await pushManifest(
    to,
    oci.manifest,
    { config, layers: [{ mediaType: oci.layer, ...layer }] },
    '1',
  )
  const costs = new Map<string, Cost[]>()
  for (const tool of tools.filter(({ name }) => name !== 'berth --deep')) {
    progress(`a large layer: ${tool.name}`)
    await withTarget(bench, async (target, files) => {
      const job: Job = {
        source: source.host,
        target: target.host,
        images: [`${repository}:1`],
        directory: files,
      }
      add(costs, tool.name, await measure(tool.copy(job)))
    })
  }
  print(`#### One layer of ${megabytes(sizes.largeBytes)}\n`)
  printCosts(
    tools.filter(({ name }) => costs.has(name)),
    costs,
  )
}

function add(costs: Map<string, Cost[]>, name: string, cost: Cost): void {
  costs.set(name, [...(costs.get(name) ?? []), cost])
}

function printCosts(tools: readonly Copier[], costs: ReadonlyMap<string, readonly Cost[]>): void {
  printTable(
    ['tool', 'seconds', 'CPU seconds', 'peak memory'],
    tools.map(({ name }) => {
      const mine = costs.get(name) ?? []
      return [
        name,
        figure(median(mine.map(({ seconds }) => seconds))),
        figure(median(mine.map(({ cpuSeconds }) => cpuSeconds))),
        megabytes(Math.max(...mine.map(({ peakBytes }) => peakBytes))),
      ]
    }),
  )
}
