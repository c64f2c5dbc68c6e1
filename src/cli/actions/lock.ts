/** Runs `berth lock`: records the digest of each image in a lock file. */
import { dirname, relative, resolve as resolvePath } from 'node:path'
import type { Config } from '../../config/config.ts'
import { loadConfig } from '../../config/load.ts'
import { readLock } from '../../config/lock-file.ts'
import type { ImageLock } from '../../decision/lock/image-lock.ts'
import { formatLock } from '../../decision/lock/lock-text.ts'
import {
  type BatchDecider,
  type BatchDeciderOptions,
  createBatchDecider,
} from '../../engine/batch-decider.ts'
import { BerthError } from '../../errors.ts'
import { replaceFile } from '../../files/replace-file.ts'
import { readImageUses } from '../../manifests/image-uses.ts'
import {
  lockableUses,
  type LockLookup,
  lookUpDigests,
  type UsesByKey,
} from '../../manifests/lock-uses.ts'
import { escapeLine } from '../../text/escape-terminal.ts'
import { findConfigFile } from '../config-file.ts'
import { imageSources } from '../image-sources.ts'
import { type Io, print, printMessage } from '../io.ts'
import type { ImageSourceOptions } from '../options.ts'

export interface LockOptions extends ImageSourceOptions {
  readonly update?: boolean
  readonly check?: boolean
  readonly out?: string
  readonly config?: string
  readonly secretsDir: string
}

/** Returns 0; 1 if an image could not be locked, or `--check` finds the file out of date. */
export async function lock(options: LockOptions, io: Io): Promise<number> {
  if (options.filename.length === 0 && options.fromCluster !== true)
    throw new BerthError('usage', 'no images are given; use -f FILE or --from-cluster')
  const configFile = findConfigFile(options.config)
  const config = loadConfig(configFile)
  const file = options.out ?? config.lock?.file ?? resolvePath(dirname(configFile), 'berth.lock')
  const { source, images: before } = readPresentLock(file)
  const onProblem = (message: string) => printMessage(io, message)
  const sources = imageSources(options, io)
  const found = await readImageUses(sources, config)
  const uses = lockableUses(found, config.table, onProblem)
  if (options.check === true) {
    const code = checkLock(file, before, uses, io)
    sources.unread.throwInvalid()
    return code
  }
  const kept: ImageLock = options.update === true ? new Map() : before
  const decider = await createLockDecider(config, options, { env: io.env, onProblem })
  let lookups: readonly LockLookup[]
  try {
    lookups = await lookUpDigests(uses, { decide: decider.decide, kept, before })
  } finally {
    await decider.close()
  }
  for (const { key, use, why } of lookups.filter(({ entry }) => entry === null))
    onProblem(`${key} is not locked: ${why} (${use.by})`)
  const after: ImageLock = new Map(
    lookups.flatMap(({ key, entry }) => {
      // An image whose registry does not answer keeps the digest that it had.
      const known = entry ?? before.get(key)
      return known === undefined ? [] : [[key, known] as const]
    }),
  )
  printChanges(before, after, io)
  // Without the images of the files that cannot be read, entries in use would be removed.
  if (sources.unread.hasInvalid())
    onProblem(`${file} is not changed, because not all manifests can be read:`)
  sources.unread.throwInvalid()
  const content = formatLock(after)
  if (content !== source) replaceFile(file, content)
  if (config.lock?.file !== resolvePath(file))
    onProblem(
      `${configFile} does not use the lock file yet; write pin: { lock: ${relative(dirname(configFile), file)} }`,
    )
  return lookups.some(({ entry }) => entry === null) ? 1 : 0
}

/** Throws `lock-invalid`: a file that does not parse must not be overwritten. */
function readPresentLock(file: string): { source: string | null; images: ImageLock } {
  const { source, result } = readLock(file)
  if (result.ok) return { source, images: result.lock }
  throw new BerthError(
    'lock-invalid',
    `${file} ${result.message}; fix it, or remove it and run berth lock again`,
  )
}

/** Compares the names in the file with the images in use. */
function checkLock(file: string, before: ImageLock, uses: UsesByKey, io: Io): number {
  const missing = [...uses].filter(([key]) => !before.has(key))
  const unused = [...before.keys()].filter((key) => !uses.has(key))
  const name = relative('.', file)
  for (const [key, { by }] of missing)
    print(io.stdout, escapeLine(`${name}: ${key} is not locked (${by})`))
  for (const key of unused) print(io.stdout, escapeLine(`${name}: ${key} is not used any more`))
  if (missing.length + unused.length === 0) return 0
  printMessage(io, 'run the same command without --check to update the file')
  return 1
}

/** Asks registries for the digest of every image, whatever `pin` of the config says. */
function createLockDecider(
  config: Config,
  { secretsDir: secretsDirectory }: LockOptions,
  { env, onProblem }: Pick<BatchDeciderOptions, 'env' | 'onProblem'>,
): Promise<BatchDecider> {
  const pin = { ...config.pin, matches: () => true, locked: () => null, overridesRows: true }
  return createBatchDecider({ ...config, pin }, { probe: true, secretsDirectory, env, onProblem })
}

function printChanges(before: ImageLock, after: ImageLock, io: Io): void {
  for (const [key, { digest, from }] of after) {
    const old = before.get(key)
    if (old === undefined) print(io.stderr, escapeLine(`+ ${key} ${digest} (${from})`))
    else if (old.digest !== digest)
      print(io.stderr, escapeLine(`~ ${key} ${old.digest} → ${digest} (${from})`))
  }
  for (const key of before.keys()) if (!after.has(key)) print(io.stderr, escapeLine(`- ${key}`))
}
