/** `berth lock`: which digest each image has today, in a file that is committed. */
import { dirname, relative, resolve as resolvePath } from 'node:path'
import type { Config } from '../../config/config.ts'
import { loadConfig } from '../../config/load.ts'
import { textOf } from '../../config/lock-file.ts'
import { BerthError } from '../../errors.ts'
import {
  formatLock,
  type ImageLock,
  type LockedImage,
  lockKey,
  parseLock,
} from '../../decision/lock/image-lock.ts'
import { parseReference } from '../../decision/reference/parse.ts'
import type { Decide } from '../../decision/resolve/decision-cache.ts'
import {
  configFile,
  imageSourceOptions,
  imageSources,
  type Parsed,
  readOptions,
  text,
  texts,
} from '../options.ts'
import { createBatchDecider } from '../../engine/batch-decider.ts'
import { readImageUses, type ImageUse } from '../../manifests/image-uses.ts'
import { type Command, type Io, print } from '../io.ts'
import { replaceFile } from '../replace-file.ts'

export const usage =
  'berth lock [-f FILE|DIR|-…] [-R] [--from-cluster] [-n NAMESPACE | -A] [--update] [--check] [--out FILE] [--config FILE] [--secrets-dir DIR] [--kubeconfig FILE] [--context NAME]'

/** What a name in a lock file stands for, and what came of looking at it. */
interface Looked {
  readonly key: string
  readonly use: ImageUse
  readonly entry: LockedImage | null
  /** Why there is none. */
  readonly why: string
}

/** Exits with 0; with 1 when an image could not be locked, or `--check` finds the file out of date. */
export const lock: Command = async (args, io) => {
  const values = readOptions(
    args,
    {
      ...imageSourceOptions,
      update: { type: 'boolean' },
      check: { type: 'boolean' },
      out: { type: 'string' },
      config: { type: 'string' },
      'secrets-dir': { type: 'string' },
    },
    usage,
  )
  if (texts(values, 'filename').length === 0 && values['from-cluster'] !== true)
    throw new BerthError('usage', `say whose images: -f FILE, or --from-cluster\nusage: ${usage}`)
  const configName = configFile(values)
  const config = loadConfig(configName)
  const file =
    text(values, 'out') ?? config.lock?.file ?? resolvePath(dirname(configName), 'berth.lock')
  const before = lockIn(file)
  const wanted = wantedOf(await readImageUses(imageSources(values, io), config), io)
  if (values['check'] === true) return checkOnly(file, before, wanted, io)
  const kept = values['update'] === true ? new Map<string, LockedImage>() : before
  const looked = await lookAll(config, { wanted, kept, before }, values, io)
  for (const { key, use, why } of looked.filter(({ entry }) => entry === null))
    print(io.stderr, `berth: ${key} is not locked: ${why} (${use.by})`)
  const after: ImageLock = new Map(
    looked.flatMap(({ key, entry }) => {
      // An image that cannot be asked for now keeps the digest that it had.
      const known = entry ?? before.get(key)
      return known === undefined ? [] : [[key, known] as const]
    }),
  )
  tellChanges(before, after, io)
  const content = formatLock(after)
  if (content !== textOf(file)) replaceFile(file, content)
  tellIfUnused(config, file, configName, io)
  return looked.some(({ entry }) => entry === null) ? 1 : 0
}

/** Throws `lock-invalid`: what cannot be read must not be written over. */
function lockIn(file: string): ImageLock {
  const source = textOf(file)
  if (source === null) return new Map()
  const read = parseLock(source)
  if (read.ok) return read.lock
  throw new BerthError(
    'lock-invalid',
    `${file} ${read.message}; mend it, or remove it and lock anew`,
  )
}

/** One use for each name of the lock file. Images with a digest of their own need no lock. */
function wantedOf(uses: readonly ImageUse[], io: Io): Map<string, ImageUse> {
  const wanted = new Map<string, ImageUse>()
  for (const use of uses) {
    const parsed = parseReference(use.image)
    if (!parsed.ok)
      print(io.stderr, `berth: ${use.image} is no image name: ${parsed.message} (${use.by})`)
    else if (parsed.reference.digest === null) {
      const key = lockKey(parsed.reference)
      if (!wanted.has(key)) wanted.set(key, use)
    }
  }
  return wanted
}

/** Asks no registry: are the names in the file those that are used? */
function checkOnly(
  file: string,
  before: ImageLock,
  wanted: ReadonlyMap<string, ImageUse>,
  io: Io,
): number {
  const missing = [...wanted].filter(([key]) => !before.has(key))
  const unused = [...before.keys()].filter((key) => !wanted.has(key))
  const name = relative('.', file)
  for (const [key, { by }] of missing) print(io.stdout, `${name}: ${key} is not locked (${by})`)
  for (const key of unused) print(io.stdout, `${name}: ${key} is not used any more`)
  if (missing.length + unused.length === 0) return 0
  print(io.stderr, 'berth: the same command without --check sets it right')
  return 1
}

interface Task {
  readonly wanted: ReadonlyMap<string, ImageUse>
  /** Entries that are taken as they are. */
  readonly kept: ImageLock
  readonly before: ImageLock
}

async function lookAll(
  config: Config,
  { wanted, kept, before }: Task,
  values: Parsed['values'],
  io: Io,
): Promise<Looked[]> {
  const pin = { ...config.pin, matches: () => true, locked: () => null }
  const decider = createBatchDecider(
    { ...config, pin },
    {
      probe: true,
      secretsDirectory: text(values, 'secrets-dir'),
      onProblem: (message) => print(io.stderr, `berth: ${message}`),
    },
  )
  const looks = [...wanted].map(async ([key, use]): Promise<Looked> => {
    const entry = kept.get(key)
    return entry === undefined
      ? look(decider.decide, key, use, before.get(key))
      : { key, use, entry, why: '' }
  })
  try {
    return await Promise.all(looks)
  } finally {
    await decider.close()
  }
}

async function look(
  decide: Decide,
  key: string,
  use: ImageUse,
  before: LockedImage | undefined,
): Promise<Looked> {
  const { signal } = new AbortController()
  const decision = await decide(key, { namespace: use.namespace, signal: () => signal })
  const chosen = decision.ok ? decision.resolution.chosen : null
  if (chosen === null || chosen.digest === null)
    return { key, use, entry: null, why: decision.ok ? decision.why : decision.error }
  const { digest, domain: from } = chosen
  const isSame = before?.digest === digest && before.from === from
  const date = new Date().toISOString().slice(0, 'YYYY-MM-DD'.length)
  return { key, use, entry: isSame ? before : { image: key, digest, from, date }, why: '' }
}

function tellChanges(before: ImageLock, after: ImageLock, io: Io): void {
  for (const [key, { digest, from }] of after) {
    const old = before.get(key)
    if (old === undefined) print(io.stderr, `+ ${key} ${digest} (${from})`)
    else if (old.digest !== digest) print(io.stderr, `~ ${key} ${old.digest} → ${digest} (${from})`)
  }
  for (const key of before.keys()) if (!after.has(key)) print(io.stderr, `- ${key}`)
}

function tellIfUnused(config: Config, file: string, configName: string, io: Io): void {
  if (config.lock?.file === resolvePath(file)) return
  const name = relative(dirname(configName), file)
  print(io.stderr, `berth: ${configName} does not use it yet: write pin: { lock: ${name} }`)
}
