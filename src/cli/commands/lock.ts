/** Defines `berth lock`. */
import { Option } from 'commander'
import type { LockOptions } from '../actions/lock.ts'
import { addOptions, configOption, imageSourceOptions, secretsDirOption } from '../options.ts'
import { addVerb, type DefineVerb } from '../verb.ts'

export const defineLock: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'lock',
    summary: 'Record the digest of each image in a lock file',
    details:
      'Images that are already in the file keep their digest; images that nothing uses are removed. Exits with 1 if an image could not be locked.',
    examples: [
      ['Lock the images of all manifests', 'berth lock -R -f deploy/'],
      ['Move every image to its current digest', 'berth lock -R -f deploy/ --update'],
      ['Fail in CI if the file is out of date', 'berth lock -R -f deploy/ --check'],
    ],
  })
  addOptions(
    command,
    ...imageSourceOptions(),
    new Option('--update', 'resolve every image again'),
    new Option(
      '--check',
      'compare the file with the images in use; contact no registry and write nothing',
    ),
    new Option('--out <file>', 'lock file').default(
      undefined,
      '`pin.lock` of the config, or berth.lock in its directory',
    ),
    configOption(),
    secretsDirOption(),
  )
  command.action((options: LockOptions) =>
    run(async (io) => {
      const { lock } = await import('../actions/lock.ts')
      return lock(options, io)
    }),
  )
}
