/** `berth diff`: what a change of the table would change, before it is in force. */
import type { Config } from '../../config/config.ts'
import { loadConfig } from '../../config/load.ts'
import { pullPolicyFor } from '../../decision/pod/pull-policy.ts'
import { missingPullSecrets } from '../../decision/pod/pull-secrets.ts'
import { parseReference } from '../../decision/reference/parse.ts'
import { formatReference } from '../../decision/reference/reference.ts'
import { resolveWithoutProbing } from '../../decision/resolve/resolve.ts'
import { needsPin } from '../../decision/resolve/resolve-policy.ts'
import { exampleImage } from '../../decision/fallback/example-image.ts'
import { BerthError } from '../../errors.ts'
import { imageSourceOptions, imageSources, oneOf, readArguments, texts } from '../options.ts'
import { painter } from '../output/explanation-table.ts'
import { readImageUses, type ImageUse } from '../../manifests/image-uses.ts'
import { type Command, type Io, print } from '../io.ts'

export const usage =
  'berth diff OLD NEW [-f FILE|DIR|-…] [-R] [--from-cluster] [-n NAMESPACE | -A] [-o table|json] [--kubeconfig FILE] [--context NAME]'

/** What a table says of an image, without asking anybody. */
interface Says {
  readonly row: string | null
  /** What is tried, in order; nothing where the image stays. */
  readonly candidates: readonly string[]
  /** Whether its tag is pinned to a digest. */
  readonly pinned: boolean
  /** Null where the pod's own stays. */
  readonly pullPolicy: string | null
  readonly pullSecrets: readonly string[]
}

interface Difference {
  readonly image: string
  readonly namespace: string
  readonly by: string
  readonly old: Says
  readonly new: Says
}

/** Exits with 0 when every image is decided as before, 1 when one is not. Asks no registry. */
export const diff: Command = async (args, io) => {
  const { values, positionals } = readArguments(
    args,
    { ...imageSourceOptions, output: { type: 'string', short: 'o' } },
    usage,
  )
  const output = oneOf(values, 'output', ['table', 'json'])
  const [oldFile, newFile, ...more] = positionals
  if (oldFile === undefined || newFile === undefined || more.length > 0)
    throw new BerthError('usage', `two configs are compared\nusage: ${usage}`)
  const before = loadConfig(oldFile)
  const after = loadConfig(newFile)
  const isGiven = texts(values, 'filename').length > 0 || values['from-cluster'] === true
  const uses = isGiven
    ? await readImageUses(imageSources(values, io), after)
    : samples([before, after])
  const differences = uses.flatMap((use): Difference[] => {
    const [one, other] = [saysOf(before, use), saysOf(after, use)]
    return one === null || other === null || JSON.stringify(one) === JSON.stringify(other)
      ? []
      : [{ ...use, old: one, new: other }]
  })
  if (output === 'json') print(io.stdout, JSON.stringify(differences, null, 2))
  else for (const difference of differences) print(io.stdout, describe(difference, io))
  print(io.stderr, `${differences.length} of ${uses.length} images would be decided otherwise`)
  return differences.length === 0 ? 0 : 1
}

function saysOf(config: Config, { image, namespace }: ImageUse): Says | null {
  const parsed = parseReference(image)
  if (!parsed.ok) return null
  const { reference } = parsed
  const { row, steps, chosen, kind } = resolveWithoutProbing(config, { reference, namespace })
  return {
    row,
    candidates:
      steps.length === 0
        ? [formatReference(chosen)]
        : steps.map(({ candidate }) => candidate.image),
    pinned: needsPin(config, reference, { reference: chosen, kind }),
    pullPolicy: pullPolicyFor(config.pullPolicy, chosen, undefined) ?? null,
    pullSecrets: missingPullSecrets(config.pullSecrets, {}, [chosen]),
  }
}

/** One image for each pattern of the tables and for each of their tests: what there is to compare where nobody names images. */
function samples(configs: readonly Config[]): ImageUse[] {
  const images = configs.flatMap(({ table, tests }) => [
    ...table.rows.flatMap(({ name, images: patterns }) =>
      patterns.map((pattern) => ({
        image: formatReference(exampleImage(pattern)),
        namespace: 'default',
        by: `a sample of ${pattern.text}, row ${name}`,
      })),
    ),
    ...tests.map(({ image, namespace }) => ({ image, namespace, by: 'tests' })),
  ])
  return [
    ...new Map(images.toReversed().map((use) => [`${use.namespace} ${use.image}`, use])).values(),
  ].toReversed()
}

function describe({ image, namespace, by, old, new: now }: Difference, io: Io): string {
  const paint = painter(io)
  const line = (sign: string, { row, candidates, pinned, pullPolicy, pullSecrets }: Says) => {
    const more = [
      `row ${row ?? 'none'}`,
      ...(pinned ? ['pinned'] : []),
      ...(pullPolicy === null ? [] : [`pull policy ${pullPolicy}`]),
      ...(pullSecrets.length === 0 ? [] : [`pull secrets ${pullSecrets.join(', ')}`]),
    ]
    return `  ${sign} ${candidates.join(', ')}  (${more.join('; ')})`
  }
  return [
    `${paint('bold', image)}  in ${namespace}  ${paint('dim', by)}`,
    paint('red', line('-', old)),
    paint('green', line('+', now)),
  ].join('\n')
}
