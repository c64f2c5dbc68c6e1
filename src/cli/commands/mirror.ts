/** Defines `berth mirror`. */
import { Option } from 'commander'
import { BerthError } from '../../errors.ts'
import type { MirrorOptions } from '../actions/mirror.ts'
import {
  age,
  auditLogOption,
  contextsOption,
  deepOption,
  layoutOption,
  lockFilesOption,
  maxJobs,
  mirrorNames,
  missingAttestationsOption,
  pairOption,
  platformOption,
} from '../mirror-options.ts'
import {
  addOptions,
  configOption,
  imageSourceOptions,
  inGroup,
  outputOption,
  policiesOption,
  quietOption,
  secretsDirOption,
  wholeNumber,
} from '../options.ts'
import { addVerb, type DefineVerb } from '../verb.ts'

export const defineMirror: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'mirror',
    summary: 'Copy images to mirrors and verify the copies',
    details:
      'Images of the fallback table go to its mirrors. Without images, -f and --from-cluster it copies `mirror.images` of the config, or all images of the layout with --from. Exits with 1 if a copy failed, and with 3 if all failed because no registry could be reached.',
    examples: [
      ['Copy one image to another registry', 'berth mirror nginx:1.29 registry.example/nginx:1.29'],
      [
        'Write the images of manifests to a file, for a network without internet',
        'berth mirror -f manifests/ --to oci-archive:images.tar',
      ],
      ['Push them to the mirrors there', 'berth mirror --from oci-archive:images.tar'],
      [
        'Show what the images of a cluster need on the mirrors',
        'berth mirror --from-cluster -A --dry-run',
      ],
      [
        'List tags on the mirrors that nothing in two clusters needs',
        'berth mirror --prune --older-than 30d --context prod --context staging',
      ],
    ],
  })
  command.argument('[images...]', mirrorNames)
  addOptions(
    command,
    configOption(),
    ...imageSourceOptions('-f or --policies').filter(({ long }) => long !== '--context'),
    contextsOption(),
    layoutOption('--to', 'write the images to an OCI image layout instead of the mirrors'),
    layoutOption('--from', 'copy the images from an OCI image layout instead of their registries'),
    pairOption(),
    new Option('--dry-run', 'show what would be copied, and copy nothing'),
    new Option('--no-probe', 'with --dry-run: contact no registry, and list every image for a mirror'), // prettier-ignore
    deepOption(),
    new Option('--referrers', 'also copy signatures, SBOMs and other referrers').default(
      undefined,
      '`mirror.referrers` of the config',
    ),
    policiesOption(
      'also copy signatures and other referrers of the images that these verification policies cover',
    ).default(undefined, 'the policies of the cluster with --from-cluster; otherwise none'),
    new Option(
      '--foreign-layers',
      'if the source lacks a foreign layer, download it from the URLs in its manifest',
    ).default(undefined, '`mirror.foreignLayers` of the config'),
    missingAttestationsOption(),
    platformOption(),
    new Option('--create-repos', 'create missing repositories of Amazon ECR').default(
      undefined,
      '`mirror.createRepositories` of the config',
    ),
    new Option('--jobs <n>', 'number of images to copy in parallel')
      .argParser(wholeNumber(1, maxJobs))
      .default(4),
    new Option(
      '--quota-floor <n>',
      'stop pulling from a registry whose rate limit leaves fewer pulls than this',
    )
      .argParser(wholeNumber(0, 999_999))
      .default(undefined, '`mirror.quotaFloor` of the config, or 10'),
    outputOption(['table', 'json', 'yaml']),
    auditLogOption(),
    quietOption('print failures only; with --prune, only the tags to remove'),
    secretsDirOption(),
    ...pruneOptions(),
  )
  command.action((names: string[], { context: contexts, ...options }: GivenOptions) =>
    run(async (io) => {
      checkOptions(contexts, options)
      if (options.prune === true) {
        const { prune } = await import('../actions/prune.ts')
        return prune(names, { ...options, contexts }, io)
      }
      const { mirror } = await import('../actions/mirror.ts')
      const [context] = contexts
      return mirror(names, { ...options, ...(context === undefined ? {} : { context }) }, io)
    }),
  )
}

function pruneOptions(): readonly Option[] {
  return inGroup(
    'Clean-up:',
    new Option('--prune', 'list tags to remove, because nothing needs them; [images] are repositories of a mirror'), // prettier-ignore
    new Option('--older-than <age>', 'with --prune: minimum age of these tags, such as 30d, 12h or 0d').argParser(age), // prettier-ignore
    lockFilesOption(),
    new Option('--yes', 'with --prune: remove the tags of the plan'),
  )
}

/** `--context` may be repeated, for `--prune`. */
type GivenOptions = Omit<MirrorOptions, 'context' | 'contexts'> & {
  readonly context: readonly string[]
}

/** Throws `usage` for options that have no effect. */
function checkOptions(contexts: readonly string[], options: Partial<MirrorOptions>): void {
  const { prune, olderThan, lock = [], yes, dryRun, from, to, probe } = options
  if (probe === false && (dryRun !== true || prune === true))
    throw new BerthError('usage', '--no-probe needs --dry-run, without --prune')
  if (prune === true && dryRun === true && yes === true)
    throw new BerthError('usage', '--dry-run and --yes contradict each other')
  if (prune === true && (from !== undefined || to !== undefined))
    throw new BerthError('usage', '--prune does not work with --from and --to')
  if (prune === true) return
  if (contexts.length > 1) throw new BerthError('usage', 'several --context need --prune')
  if (olderThan !== undefined || lock.length > 0 || yes === true)
    throw new BerthError('usage', '--older-than, --lock and --yes need --prune')
}
