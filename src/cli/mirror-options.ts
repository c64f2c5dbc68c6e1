/** Defines the options of `berth mirror` and `berth drift` that other commands do not have. */
import { InvalidArgumentError, Option } from 'commander'
import { type LayoutLocation, parseLayoutLocation } from '../registry/layout/layout-location.ts'
import { durationMs } from '../text/units.ts'
import { collect, platformPattern } from './options.ts'

/** Meaning of the arguments of `mirror` and `drift`. */
export const mirrorNames =
  'image names, SOURCE DESTINATION, SOURCE=DESTINATION pairs, or - to read one per line from standard input'

export function pairOption(): Option {
  return new Option(
    '--pair',
    'the two images are SOURCE DESTINATION, even if DESTINATION is on no mirror of the config',
  )
}

export function auditLogOption(): Option {
  return new Option('--audit-log <file>', 'file to append one JSON line to for each copied image')
}

export function deepOption(): Option {
  return new Option(
    '--deep',
    'also look for missing manifests and blobs on the mirror where the digests are equal',
  )
}

export function missingAttestationsOption(): Option {
  return new Option(
    '--allow-missing-attestations',
    'leave out attestations that an index lists, but that do not exist',
  )
}

export function platformOption(): Option {
  return new Option(
    '--platform <list>',
    'copy only these platforms of an image, such as linux/amd64,linux/arm64; the copy gets another digest than upstream',
  ).argParser((text: string) => {
    const platforms = text.split(',').map((each) => each.trim())
    const isValid = platforms.every((each) => platformPattern.test(each))
    if (!isValid) throw new InvalidArgumentError('must be OS/ARCHITECTURE, for example linux/amd64')
    return platforms
  })
}

/** `--to` and `--from` of `mirror`. */
export function layoutOption(flag: string, description: string): Option {
  return new Option(`${flag} <layout>`, `${description}: oci:DIR or oci-archive:FILE`).argParser(
    (text: string): LayoutLocation => {
      const location = parseLayoutLocation(text)
      if (location !== null) return location
      throw new InvalidArgumentError(
        'Write oci:DIR or oci-archive:FILE.tar, without the name of an image.',
      )
    },
  )
}

/** More parallel copies than any registry serves well. Each takes memory. */
export const maxJobs = 256

/** `--context` of `mirror`, which may be repeated with `--prune`. */
export function contextsOption(): Option {
  return new Option(
    '--context <name>',
    'context of the kubeconfig; with --prune, repeatable: every cluster that pulls from the mirrors',
  )
    .argParser(collect)
    .default([], 'its current context')
}

export function lockFilesOption(): Option {
  return new Option(
    '--lock <file>',
    'with --prune: keep the images in this lock file, in addition to `pin.lock` of the config; repeatable',
  )
    .argParser(collect)
    .default([], 'none')
}

/** Parses an age such as `30d`. Returns milliseconds. */
export function age(value: string): number {
  if (/^[0-9]{1,5}[smhdw]$/.test(value)) return durationMs(value)
  throw new InvalidArgumentError('Write a number and s, m, h, d or w, for example 30d.')
}
