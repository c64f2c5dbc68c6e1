/** Runs `berth nodes render`: prints the registry files, or writes them to a directory. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { loadConfig } from '../../config/load.ts'
import { formatProblem } from '../../config/problem.ts'
import { parseYamlDocument } from '../../config/yaml-document.ts'
import { BerthError } from '../../errors.ts'
import type { NodeFinding } from '../../nodes/plan/node-plan.ts'
import { type NodeFiles, renderNodes } from '../../nodes/render/render.ts'
import type { TargetName } from '../../nodes/render/targets.ts'
import { escapeLine } from '../../text/escape-terminal.ts'
import { findConfigFile } from '../config-file.ts'
import { type Io, print, printFile, printMessage } from '../io.ts'
import { parseTargetVersion } from '../local-target.ts'
import type { RenderOptions } from '../node-options.ts'
import { printRecord } from '../output/print-record.ts'
import { describeFileError } from '../../files/describe-file-error.ts'

export interface NodesRenderOptions extends RenderOptions {
  readonly target: TargetName
  readonly out?: string
  readonly output: 'text' | 'json' | 'yaml'
}

/** Returns 0. Throws `nodes-inexpressible` if the files cannot express the table. */
export async function nodesRender(options: NodesRenderOptions, io: Io): Promise<number> {
  const { out, output, target } = options
  const rendered = renderFiles(target, options, io)
  if (out !== undefined) writeFiles(rendered, out)
  if (output !== 'text') printRecord(rendered, output, io)
  else if (out === undefined) printFile(io.stdout, filesText(rendered))
  else for (const { path } of rendered.files) print(io.stdout, join(out, path))
  for (const note of [...rendered.notes, rendered.restart]) printMessage(io, note)
  return 0
}

/** Renders the files of a target. Prints the warnings of the config and what is left out. */
export function renderFiles(target: TargetName, options: RenderOptions, io: Io): NodeFiles {
  const file = findConfigFile(options.config)
  const config = loadConfig(file)
  const warn = (line: string) => print(io.stderr, escapeLine(line))
  for (const warning of config.warnings) warn(formatProblem(file, warning))
  const rendered = renderNodes(config, target, {
    airGap: options.airGap === true,
    digestOnly: options.digestOnly === true,
    version: parseTargetVersion(options.targetVersion),
  })
  const locate = createLocator(config.source, file)
  for (const note of rendered.alternates) warn(locate('warning', note))
  const { omissions } = rendered
  if (omissions.length > 0 && options.allowPartial !== true)
    throw new BerthError(
      'nodes-inexpressible',
      `${target} cannot express all of the table; change it, or leave this out with --allow-partial\n${omissions.map((each) => locate('error', each)).join('\n')}`,
    )
  for (const each of omissions) warn(locate('warning', each))
  return rendered
}

/** Returns a function that adds the place in the config to a finding. */
function createLocator(
  source: string,
  file: string,
): (severity: 'error' | 'warning', finding: NodeFinding) => string {
  const document = parseYamlDocument(source)
  return (severity, { path, message }) =>
    formatProblem(file, document.problemAt(severity, path, message))
}

function writeFiles({ files }: NodeFiles, directory: string): void {
  try {
    for (const { path, content } of files) {
      const file = join(directory, path)
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, content)
    }
  } catch (cause) {
    const { path } = cause as NodeJS.ErrnoException
    throw new BerthError(
      'nodes-unwritable',
      `${path ?? directory} cannot be written: ${describeFileError(cause)}; choose another --out`,
      { cause },
    )
  }
}

/** A single file is printed as it is, for `kubectl apply -f -`; several are printed under their names. */
function filesText({ files, directory }: NodeFiles): string {
  const [only] = files
  if (files.length === 1 && only !== undefined) return only.content
  return files
    .map(
      ({ path, content }) => `# ${directory === null ? path : join(directory, path)}\n${content}`,
    )
    .join('\n')
}
