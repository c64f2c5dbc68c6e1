/** `berth nodes render`: the files, on standard output or in a directory. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { loadConfig } from '../../config/load.ts'
import { formatProblem } from '../../config/problem.ts'
import { parseYamlDocument } from '../../config/yaml-document.ts'
import { BerthError } from '../../errors.ts'
import type { NodeFinding } from '../../nodes/plan/node-plan.ts'
import { type NodeFiles, renderNodes } from '../../nodes/render.ts'
import { readVersion } from '../../nodes/targets/target-version.ts'
import { type TargetName, targets } from '../../nodes/targets/targets.ts'
import { configFile, oneOf, type Parsed, readOptions, text } from '../options.ts'
import { type Command, type Io, print } from '../io.ts'

export const usage =
  'berth nodes render --target containerd|microk8s|k3s|rke2|crio|openshift|registry-proxy [--config FILE] [--target-version V] [--out DIR] [--air-gap] [--digest-only] [--allow-partial] [-o text|json]'

export const renderOptions = {
  config: { type: 'string' },
  target: { type: 'string' },
  'target-version': { type: 'string' },
  'air-gap': { type: 'boolean' },
  'digest-only': { type: 'boolean' },
  'allow-partial': { type: 'boolean' },
} as const

/** Exits with 0 when the files say all that the table says of mirrors. Throws `nodes-inexpressible`, or `usage`. */
export const nodesRender: Command = async (args, io) => {
  const values = readOptions(
    args,
    { ...renderOptions, out: { type: 'string' }, output: { type: 'string', short: 'o' } },
    usage,
  )
  const output = oneOf(values, 'output', ['text', 'json'])
  const rendered = renderFrom(values, io)
  const out = text(values, 'out')
  if (out !== undefined) writeAll(rendered, out)
  if (output === 'json') print(io.stdout, JSON.stringify(rendered, null, 2))
  else if (out === undefined) print(io.stdout, shown(rendered))
  else for (const { path } of rendered.files) print(io.stdout, join(out, path))
  tell(rendered, io)
  return 0
}

/** The files that the options ask for; warnings of the config, and what is left out, go to standard error. */
export function renderFrom(values: Parsed['values'], io: Io): NodeFiles {
  if (text(values, 'target') === undefined)
    throw new BerthError(
      'usage',
      `--target is missing; choose one of ${Object.keys(targets).join(', ')}`,
    )
  const target = oneOf(values, 'target', Object.keys(targets) as [TargetName, ...TargetName[]])
  const [airGap, digestOnly] = [values['air-gap'] === true, values['digest-only'] === true]
  if (airGap && digestOnly)
    throw new BerthError(
      'usage',
      '--air-gap and --digest-only cannot both hold: with nobody upstream, no tag could be pulled',
    )
  const file = configFile(values)
  const config = loadConfig(file)
  for (const warning of config.warnings) print(io.stderr, formatProblem(file, warning))
  const rendered = renderNodes(config, target, { airGap, digestOnly, version: versionOf(values) })
  const place = placer(config.source, file)
  for (const note of rendered.alternates) print(io.stderr, place('warning', note))
  if (rendered.omissions.length === 0) return rendered
  const isAllowed = values['allow-partial'] === true
  const lines = rendered.omissions.map((each) => place(isAllowed ? 'warning' : 'error', each))
  if (!isAllowed)
    throw new BerthError(
      'nodes-inexpressible',
      `${target} cannot say all of the table; mend it, or leave it out with --allow-partial\n${lines.join('\n')}`,
    )
  for (const line of lines) print(io.stderr, line)
  return rendered
}

function placer(
  source: string,
  file: string,
): (severity: 'error' | 'warning', finding: NodeFinding) => string {
  const document = parseYamlDocument(source)
  return (severity, { path, message }) =>
    formatProblem(file, document.problemAt(severity, path, message))
}

function versionOf(values: Parsed['values']): ReturnType<typeof readVersion> {
  const written = text(values, 'target-version')
  if (written === undefined) return null
  const version = readVersion(written)
  if (version === null)
    throw new BerthError(
      'usage',
      `--target-version ${written} is no version; write it as 1.7 or 2.1.4`,
    )
  return version
}

function writeAll({ files }: NodeFiles, directory: string): void {
  try {
    for (const { path, content } of files) {
      const file = join(directory, path)
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, content)
    }
  } catch (cause) {
    const { code, path } = cause as NodeJS.ErrnoException
    throw new BerthError(
      'nodes-unwritable',
      `${path ?? directory} cannot be written: ${code}; give another --out`,
      { cause },
    )
  }
}

/** A single file as it is, so that it can go to `kubectl apply -f -`; several with their names above them. */
function shown({ files, directory }: NodeFiles): string {
  const [only] = files
  if (files.length === 1 && only !== undefined) return only.content
  return files
    .map(
      ({ path, content }) => `# ${directory === null ? path : join(directory, path)}\n${content}`,
    )
    .join('\n')
}

function tell({ notes, restart }: NodeFiles, io: Io): void {
  for (const note of [...notes, restart]) print(io.stderr, `berth: ${note}`)
}
