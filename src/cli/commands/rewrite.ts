/** `berth rewrite`: what the webhook would make of pods, in the manifests that they come from. */
import { createTwoFilesPatch } from 'diff'
import type { Config } from '../../config/config.ts'
import { loadConfig } from '../../config/load.ts'
import { BerthError } from '../../errors.ts'
import type { ImageChange, Rewritten } from '../../manifests/rewrite.ts'
import { rewriteManifests } from '../../manifests/rewrite.ts'
import { configFile, oneOf, type Parsed, readOptions, text, texts } from '../options.ts'
import { createBatchDecider } from '../../engine/batch-decider.ts'
import { painter } from '../output/explanation-table.ts'
import { type Command, type Io, print } from '../io.ts'
import {
  type ManifestFile,
  readManifestFiles,
  skipTemplate,
} from '../../manifests/manifest-files.ts'
import { replaceFile } from '../replace-file.ts'

export const usage =
  'berth rewrite -f FILE|DIR|-… [-R] [--diff | --in-place | --check] [--images-only] [--no-probe] [--pin] [-n NAMESPACE] [-o table|json] [--config FILE] [--secrets-dir DIR]'

/** A file and what becomes of it. */
interface RewriteOutcome extends Rewritten {
  readonly file: ManifestFile
}

/**
 * Exits with 0; with 1 when `--check` finds something to change, a rule refuses an image, or `--pin` has no digest for one.
 * A refused image changes nothing anywhere: no text is printed and no file written.
 */
export const rewrite: Command = async (args, io) => {
  const values = readOptions(
    args,
    {
      filename: { type: 'string', short: 'f', multiple: true },
      recursive: { type: 'boolean', short: 'R' },
      diff: { type: 'boolean' },
      'in-place': { type: 'boolean' },
      check: { type: 'boolean' },
      'images-only': { type: 'boolean' },
      'no-probe': { type: 'boolean' },
      pin: { type: 'boolean' },
      namespace: { type: 'string', short: 'n' },
      output: { type: 'string', short: 'o' },
      config: { type: 'string' },
      'secrets-dir': { type: 'string' },
    },
    usage,
  )
  const mode = modeOf(values)
  const output = oneOf(values, 'output', ['table', 'json'])
  const config = withPin(loadConfig(configFile(values)), values['pin'] === true)
  const files = await readManifestFiles(texts(values, 'filename'), {
    recursive: values['recursive'] === true,
    stdin: io.stdin,
  })
  const outcomes = await rewriteAll(config, files, values, io)
  for (const { file, notes, denied } of outcomes) {
    for (const note of [...denied, ...notes]) tell(io, file, note)
  }
  const isDenied = outcomes.some(({ denied }) => denied.length > 0)
  if (output === 'json') print(io.stdout, JSON.stringify(outcomes.flatMap(reportOf), null, 2))
  else if (mode === 'check') print(io.stdout, changeLines(outcomes, io).join('\n'))
  if (isDenied) return 1
  if (output !== 'json') show(mode, outcomes, io)
  if (mode === 'write') {
    for (const { file, text: written } of outcomes.filter(isChanged))
      replaceFile(file.name, written)
  }
  const unpinned =
    values['pin'] === true && outcomes.some(({ images }) => images.some(({ pinned }) => !pinned))
  return unpinned || (mode === 'check' && outcomes.some(isChanged)) ? 1 : 0
}

type Mode = 'print' | 'diff' | 'write' | 'check'

function modeOf(values: Parsed['values']): Mode {
  const given = (['diff', 'in-place', 'check'] as const).filter((name) => values[name] === true)
  if (texts(values, 'filename').length === 0)
    throw new BerthError(
      'usage',
      `no manifest is given; -f takes files, directories and -\nusage: ${usage}`,
    )
  if (given.length > 1)
    throw new BerthError('usage', `--${given.join(' and --')} exclude each other\nusage: ${usage}`)
  if (values['in-place'] === true && texts(values, 'filename').includes('-'))
    throw new BerthError('usage', 'standard input cannot be changed in place; leave --in-place out')
  if (values['pin'] === true && values['no-probe'] === true)
    throw new BerthError(
      'usage',
      '--pin has to ask registries for digests, and --no-probe forbids it; a lock file pins without asking',
    )
  const [mode] = given
  return mode === undefined ? 'print' : mode === 'in-place' ? 'write' : mode
}

function withPin(config: Config, pinAll: boolean): Config {
  return pinAll ? { ...config, pin: { ...config.pin, matches: () => true } } : config
}

async function rewriteAll(
  config: Config,
  files: readonly ManifestFile[],
  values: Parsed['values'],
  io: Io,
): Promise<RewriteOutcome[]> {
  const decider = createBatchDecider(config, {
    probe: values['no-probe'] !== true,
    secretsDirectory: text(values, 'secrets-dir'),
    onProblem: (message) => print(io.stderr, `berth: ${message}`),
  })
  const dependencies = { decide: decider.decide, policy: config, workloads: config.workloads }
  const outcomes: RewriteOutcome[] = []
  try {
    for (const file of files) {
      const result = await rewriteManifests(dependencies, file.text, {
        namespace: text(values, 'namespace') ?? 'default',
        imagesOnly: values['images-only'] === true,
        signal: io.signal,
      })
      if (result.ok) outcomes.push({ ...result, file })
      else {
        print(io.stderr, skipTemplate(file, result))
        outcomes.push({ file, text: file.text, images: [], others: [], notes: [], denied: [] })
      }
    }
  } finally {
    await decider.close()
  }
  return outcomes
}

function isChanged({ file, text: written }: RewriteOutcome): boolean {
  return written !== file.text
}

function show(mode: Mode, outcomes: readonly RewriteOutcome[], io: Io): void {
  if (mode === 'print') io.stdout.write(joined(outcomes.map(({ text: written }) => written)))
  if (mode === 'diff') {
    for (const { file, text: written } of outcomes.filter(isChanged))
      io.stdout.write(createTwoFilesPatch(`a/${file.name}`, `b/${file.name}`, file.text, written))
  }
  if (mode !== 'check')
    for (const line of changeLines(outcomes, { ...io, stdout: io.stderr })) print(io.stderr, line)
}

/** Several files are one stream of documents. */
function joined(parts: readonly string[]): string {
  return parts.reduce((whole, part) => {
    if (whole === '') return part
    const ended = whole.endsWith('\n') ? whole : `${whole}\n`
    return /^---(?:\s|$)/.test(part) ? ended + part : `${ended}---\n${part}`
  }, '')
}

function changeLines(
  outcomes: readonly RewriteOutcome[],
  io: Pick<Io, 'stdout' | 'env'>,
): string[] {
  const paint = painter(io)
  return outcomes.flatMap(({ file, images, others }) => [
    ...images
      .filter(({ from, to }) => from !== to)
      .map(
        ({ line, object, site, from, to, why }) =>
          `${file.name}:${line}: ${object}: ${site}: ${from} → ${paint('green', to)} ${paint('dim', `(${why})`)}`,
      ),
    ...others.map(({ line, message }) => `${file.name}:${line}: ${message}`),
  ])
}

function reportOf({
  file,
  images,
}: RewriteOutcome): (ImageChange & { file: string; changed: boolean })[] {
  return images.map((image) => ({ file: file.name, ...image, changed: image.from !== image.to }))
}

function tell(
  { stderr }: Io,
  file: ManifestFile,
  { line, message }: { line: number | null; message: string },
): void {
  print(stderr, `${line === null ? file.name : `${file.name}:${line}`}: ${message}`)
}
