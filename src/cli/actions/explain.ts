/** Runs `berth explain`: the whole decision for each image, by the functions that the webhook uses. */
import pLimit from 'p-limit'
import type { Config } from '../../config/config.ts'
import { loadConfig } from '../../config/load.ts'
import { inConflict } from '../../decision/resolve/resolve-policy.ts'
import { imageTimeoutMs, parallelImages } from '../../engine/batch-limits.ts'
import type { Engine } from '../../engine/decision-engine.ts'
import { BerthError } from '../../errors.ts'
import { explainImage } from '../../explain/explain-image.ts'
import type { Explanation } from '../../explain/explanation.ts'
import { proxyRulesFromEnvironment } from '../../proxy/proxy-rules.ts'
import { findConfigFile } from '../config-file.ts'
import { type Io, print, printMessage } from '../io.ts'
import { podContextOf, type PodOptions } from '../options.ts'
import { explanationTable } from '../output/explanation-table.ts'
import { printRecord } from '../output/print-record.ts'
import { readLines } from '../read-lines.ts'

export interface ExplainOptions extends PodOptions {
  readonly config?: string
  readonly probe: boolean
  readonly inConflict?: boolean
  readonly output: 'table' | 'json' | 'yaml'
  readonly secretsDir: string
}

/** Returns 0; 1 if a name does not parse or a rule denies an image; 3 if no registry could be reached for an image. */
export async function explain(
  names: readonly string[],
  {
    config: file,
    probe,
    output,
    secretsDir,
    inConflict: hasConflict,
    ...podOptions
  }: ExplainOptions,
  io: Io,
): Promise<number> {
  const images = await readImages(names, io)
  const config = loadConfig(findConfigFile(file))
  const context = podContextOf(podOptions)
  const pod = hasConflict === true ? inConflict(config, context) : context
  const engine = probe ? await openEngine(config, secretsDir, io) : null
  const dependencies = {
    config,
    resolve: engine?.resolve ?? null,
    timeoutMs: imageTimeoutMs,
    proxyRules: proxyRulesFromEnvironment(io.env),
    partNames: optionNames,
  }
  const denied = new Set<Explanation>()
  const limit = pLimit(parallelImages)
  let explanations: readonly Explanation[]
  try {
    const results = await Promise.all(
      images.map((image) => limit(() => explainImage(dependencies, pod, image))),
    )
    explanations = results.map(({ explanation }) => explanation)
    for (const { explanation, isDenied } of results) if (isDenied) denied.add(explanation)
  } finally {
    await engine?.close()
  }
  if (output === 'table') print(io.stdout, explanationTable(explanations, denied, io))
  else printRecord(explanations, output, io)
  if (explanations.some((each) => 'error' in each) || denied.size > 0) return 1
  return explanations.some(isUnreachable) ? 3 : 0
}

/** The registry client takes longer to load than everything else. */
async function openEngine(config: Config, secretsDirectory: string, io: Io): Promise<Engine> {
  const [{ createEngine }, { createHelperRunner }] = await Promise.all([
    import('../../engine/decision-engine.ts'),
    import('../../engine/credential-helper.ts'),
  ])
  return createEngine(config, {
    secretsDirectory,
    queryTimeoutMs: imageTimeoutMs / 2,
    env: io.env,
    runHelper: createHelperRunner(io.env),
    ownLogin: true,
    onProblem: (message) => printMessage(io, message),
  })
}

/** Whether every registry that was asked for the image was unreachable. */
function isUnreachable(explanation: Explanation): boolean {
  if ('error' in explanation) return false
  const asked = explanation.candidates.filter(({ milliseconds }) => milliseconds !== null)
  return (
    asked.length > 0 &&
    asked.every(({ outcome }) => outcome === 'unreachable' || outcome === 'timeout')
  )
}

const optionNames = { namespace: '--namespace', labels: '--labels', owners: '--owner' } as const

/** Replaces `-` by the lines of standard input. Lines keep their spaces: these make a name invalid, which is reported. */
async function readImages(names: readonly string[], io: Io): Promise<string[]> {
  if (!names.includes('-')) return [...names]
  const lines = await readLines(io.stdin)
  if (lines.length === 0) throw new BerthError('usage', 'standard input has no image names')
  return names.flatMap((each) => (each === '-' ? lines : [each]))
}
