/** Runs `berth explain`: the whole decision for each image, by the functions that the webhook uses. */
import pLimit from 'p-limit'
import type { Config } from '../../config/config.ts'
import { loadConfig } from '../../config/load.ts'
import { undecidedParts } from '../../config/undecided.ts'
import type { PodContext } from '../../decision/fallback/pod-context.ts'
import { imagesToPull, missingPullSecrets } from '../../decision/pod/pull-secrets.ts'
import { parseName } from '../../decision/reference/parse-name.ts'
import { isDenied } from '../../decision/resolve/resolution.ts'
import { inConflict } from '../../decision/resolve/resolve-policy.ts'
import { resolve, resolveWithoutProbing } from '../../decision/resolve/resolve.ts'
import { imageTimeoutMs, parallelImages } from '../../engine/batch-decider.ts'
import { createHelperRunner } from '../../engine/credential-helper.ts'
import { createEngine, type Engine } from '../../engine/decision-engine.ts'
import { BerthError } from '../../errors.ts'
import { ProxyError } from '../../proxy/proxy-error.ts'
import {
  proxyRulesFromEnvironment,
  proxyRulesOf,
  type ProxyRules,
} from '../../proxy/proxy-rules.ts'
import type { RegistrySettings } from '../../registry/http/registry-settings.ts'
import { findConfigFile } from '../config-file.ts'
import { type Io, print, printMessage } from '../io.ts'
import { podContextOf, type PodOptions } from '../options.ts'
import { explainedImage, type Explanation, invalidImage } from '../output/explanation.ts'
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
  const engine = probe
    ? createEngine(config, {
        secretsDirectory: secretsDir,
        queryTimeoutMs: imageTimeoutMs / 2,
        env: io.env,
        runHelper: createHelperRunner(io.env),
        onProblem: (message) => printMessage(io, message),
      })
    : null
  const proxyRules = proxyRulesFromEnvironment(io.env)
  const denied = new Set<Explanation>()
  const limit = pLimit(parallelImages)
  let explanations: readonly Explanation[]
  try {
    explanations = await Promise.all(
      images.map((image) =>
        limit(() => explainOne({ config, engine, proxyRules, pod, denied }, image)),
      ),
    )
  } finally {
    await engine?.close()
  }
  if (output === 'table') print(io.stdout, explanationTable(explanations, denied, io))
  else printRecord(explanations, output, io)
  if (explanations.some((each) => 'error' in each) || denied.size > 0) return 1
  return explanations.some(isUnreachable) ? 3 : 0
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

interface ExplainContext {
  readonly config: Config
  /** Null to ask no registry. */
  readonly engine: Engine | null
  /** The proxies of the environment. */
  readonly proxyRules: ProxyRules
  readonly pod: PodContext
  /** Receives the images that a rule of the config denies. */
  readonly denied: Set<Explanation>
}

const optionNames = { namespace: '--namespace', labels: '--labels', owners: '--owner' } as const

async function explainOne(
  { config, engine, proxyRules, pod, denied }: ExplainContext,
  image: string,
): Promise<Explanation> {
  const parsed = parseName(image)
  if (!parsed.ok) return invalidImage(image, parsed)
  const request = { reference: parsed.reference, pod }
  const resolution =
    engine === null
      ? resolveWithoutProbing(config, request)
      : await resolve(engine.resolve, config, {
          ...request,
          signal: AbortSignal.timeout(imageTimeoutMs),
        })
  const explained = explainedImage(image, resolution, {
    hasController: pod.owners === null ? null : pod.owners.length > 0,
    pullSecrets: missingPullSecrets(config.pullSecrets, {
      context: pod,
      pod: {},
      images: imagesToPull([resolution]),
    }),
    undecided: undecidedParts(config, { pod, resolution }, optionNames),
    hosts: [...config.registries.keys()],
    proxyOf: (host) => proxyNameOf(config.registries.get(host), proxyRules),
  })
  if (isDenied(resolution)) denied.add(explained)
  return explained
}

/** Null also if a variable does not name a usable proxy: the detail of the candidate says so. */
function proxyNameOf(registry: RegistrySettings | undefined, rules: ProxyRules): string | null {
  if (registry === undefined) return null
  try {
    return proxyRulesOf(registry.proxy, rules)(registry.endpoint)?.name ?? null
  } catch (error) {
    if (error instanceof ProxyError) return null
    throw error
  }
}

/** Replaces `-` by the lines of standard input. Lines keep their spaces: these make a name invalid, which is reported. */
async function readImages(names: readonly string[], { stdin }: Io): Promise<string[]> {
  if (!names.includes('-')) return [...names]
  const lines = await readLines(stdin)
  if (lines.length === 0) throw new BerthError('usage', 'standard input has no image names')
  return names.flatMap((each) => (each === '-' ? lines : [each]))
}
