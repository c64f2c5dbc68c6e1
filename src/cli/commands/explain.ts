/** `berth explain`: the whole decision for each image, by the same functions that the webhook uses. */
import { text as readAll } from 'node:stream/consumers'
import { stringify } from 'yaml'
import { loadConfig } from '../../config/load.ts'
import { missingPullSecrets } from '../../decision/pod/pull-secrets.ts'
import { parseReference } from '../../decision/reference/parse.ts'
import { resolve, resolveWithoutProbing } from '../../decision/resolve/resolve.ts'
import { isDenied } from '../../decision/resolve/resolution.ts'
import { configFile, oneOf, readArguments, text } from '../options.ts'
import { createEngine, defaultSecretsDirectory, type Engine } from '../../engine/decision-engine.ts'
import { explanation, type Explanation, invalid } from '../output/explanation.ts'
import { explanationTable } from '../output/explanation-table.ts'
import { BerthError } from '../../errors.ts'
import { type Command, type Io, print } from '../io.ts'

export const usage =
  'berth explain IMAGE… | - [--config FILE] [-n NAMESPACE] [--no-probe] [-o table|json|yaml] [--secrets-dir DIR]'

/** A person waits longer than an API server does: three times the time that a webhook has at the most for one image. */
const patienceMs = 10_000

/** Images decided at once: enough to hide the latency of registries, few enough not to look like an attack on one. */
const parallel = 8

/** Exits with 0, with 1 when a name does not parse or a rule refuses an image, and with 3 when no registry could be reached for one. */
export const explain: Command = async (args, io) => {
  const { values, positionals } = readArguments(
    args,
    {
      config: { type: 'string' },
      namespace: { type: 'string', short: 'n' },
      output: { type: 'string', short: 'o' },
      'no-probe': { type: 'boolean' },
      'secrets-dir': { type: 'string' },
    },
    usage,
  )
  const output = oneOf(values, 'output', ['table', 'json', 'yaml'])
  if (positionals.length === 0) throw new BerthError('usage', `no image is given\nusage: ${usage}`)
  const images = await readImages(positionals, io)
  const config = loadConfig(configFile(values))
  const engine =
    values['no-probe'] === true
      ? null
      : createEngine(config, {
          secretsDirectory: text(values, 'secrets-dir') ?? defaultSecretsDirectory,
          queryTimeoutMs: patienceMs / 2,
          env: io.env,
          onProblem: (message) => print(io.stderr, `berth: ${message}`),
        })
  const namespace = text(values, 'namespace') ?? 'default'
  const explanations: Explanation[] = []
  const refused = new Set<Explanation>()
  try {
    for (let start = 0; start < images.length; start += parallel) {
      const batch = images.slice(start, start + parallel)
      explanations.push(
        ...(await Promise.all(
          batch.map((image) => explainOne({ config, engine, namespace, refused }, image)),
        )),
      )
    }
  } finally {
    await engine?.close()
  }
  if (output === 'json') print(io.stdout, JSON.stringify(explanations, null, 2))
  else if (output === 'yaml') print(io.stdout, stringify(explanations))
  else print(io.stdout, explanationTable(explanations, refused, io))
  if (explanations.some((each) => 'error' in each) || refused.size > 0) return 1
  return explanations.some(isOutOfReach) ? 3 : 0
}

/** Every registry that was asked for the image was out of reach, so nothing is known of it. */
function isOutOfReach(explanation: Explanation): boolean {
  if ('error' in explanation) return false
  const asked = explanation.candidates.filter(({ milliseconds }) => milliseconds !== null)
  return (
    asked.length > 0 &&
    asked.every(({ outcome }) => outcome === 'unreachable' || outcome === 'timeout')
  )
}

interface Context {
  readonly config: ReturnType<typeof loadConfig>
  readonly engine: Engine | null
  readonly namespace: string
  /** Told of images that a rule of the configuration refuses. */
  readonly refused: Set<Explanation>
}

async function explainOne(
  { config, engine, namespace, refused }: Context,
  image: string,
): Promise<Explanation> {
  const parsed = parseReference(image)
  if (!parsed.ok) return invalid(image, parsed)
  const request = { reference: parsed.reference, namespace }
  const resolution =
    engine === null
      ? resolveWithoutProbing(config, request)
      : await resolve(engine.resolve, config, {
          ...request,
          signal: AbortSignal.timeout(patienceMs),
        })
  const pullSecrets = missingPullSecrets(config.pullSecrets, {}, [resolution.chosen])
  const explained = explanation(image, resolution, {
    pullSecrets,
    hosts: [...config.registries.keys()],
  })
  if (isDenied(resolution)) refused.add(explained)
  return explained
}

/** `-` stands for the names on standard input, one a line, each line as it is: white space is part of a name, and wrong. */
async function readImages(positionals: readonly string[], io: Io): Promise<string[]> {
  if (!positionals.includes('-')) return [...positionals]
  const lines = (await readAll(io.stdin)).split('\n')
  if (lines.at(-1) === '') lines.pop()
  return positionals.flatMap((each) => (each === '-' ? lines : [each]))
}
