/** Defines `berth mirror`. */
import { Option } from 'commander'
import type { MirrorOptions } from '../actions/mirror.ts'
import {
  addOptions,
  auditLogOption,
  configOption,
  imageSourceOptions,
  missingAttestationsOption,
  mirrorNames,
  outputOption,
  platformOption,
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
      'Images of the fallback table go to its mirrors. Without images, -f and --from-cluster it copies `mirror.images` of the config. Exits with 1 if a copy failed, and with 3 if all failed because no registry could be reached.',
    examples: [
      ['Copy one image to another registry', 'berth mirror nginx:1.29 registry.example/nginx:1.29'],
      [
        'Show what the images of a cluster need on the mirrors',
        'berth mirror --from-cluster -A --dry-run',
      ],
    ],
  })
  command.argument('[images...]', mirrorNames)
  addOptions(
    command,
    configOption(),
    ...imageSourceOptions(),
    new Option('--dry-run', 'show what would be copied, and copy nothing'),
    new Option('--fast', 'trust equal digests, without checking that every layer exists'),
    new Option('--referrers', 'also copy signatures, SBOMs and other referrers').default(
      undefined,
      '`mirror.referrers` of the config',
    ),
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
      .argParser(wholeNumber(0, 999_999))
      .default(4),
    new Option(
      '--quota-floor <n>',
      'stop pulling from a registry whose rate limit leaves fewer pulls than this',
    )
      .argParser(wholeNumber(0, 999_999))
      .default(undefined, '`mirror.quotaFloor` of the config, or 10'),
    outputOption(['table', 'json']),
    auditLogOption(),
    quietOption('print failures only'),
    secretsDirOption(),
  )
  command.action((names: string[], options: MirrorOptions) =>
    run(async (io) => {
      const { mirror } = await import('../actions/mirror.ts')
      return mirror(names, options, io)
    }),
  )
}
