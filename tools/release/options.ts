/** Parses the options of `npm run release`. */
import { parseArgs } from 'node:util'

export const usage = `npm run release -- [options]

Builds all artifacts of a release into dist/release, pushes the images to a registry, and signs them.
Refuses a working tree with changes, and a commit without the tag of its version.

  --dry-run         build everything from any commit; push only with --endpoint, to a registry on this machine
  --registry NAME   registry and path of the images, for example ghcr.io/acme: the image is ghcr.io/acme/berth, and the
                    chart ghcr.io/acme/charts/berth; default with --dry-run: berth.invalid
  --endpoint URL    where the registry really is, for example http://127.0.0.1:5000
  --download URL    where users download the files, for the plugin manifest; default: the release on GitHub, in a workflow
  --key FILE        sign with this private key, in PEM (ECDSA P-256); default with --dry-run: a new key
  --keyless         sign with the identity of a workflow: runs cosign
  --out DIR         a new directory, or one with an earlier release, which is deleted first; default: dist/release`

export interface ReleaseOptions {
  readonly dryRun: boolean
  readonly registry: string
  /** Null to push to the registry under its own name, or with dryRun nowhere. */
  readonly endpoint: string | null
  readonly download: string | null
  /** A PEM file; null for a new key, which is forgotten. */
  readonly key: string | null
  readonly keyless: boolean
  readonly out: string | null
}

/** Throws with a message for the user. */
export function parseOptions(args: readonly string[]): ReleaseOptions | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      'dry-run': { type: 'boolean', default: false },
      registry: { type: 'string' },
      endpoint: { type: 'string' },
      download: { type: 'string' },
      key: { type: 'string' },
      keyless: { type: 'boolean', default: false },
      out: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  const { registry, endpoint = null, key = null, keyless } = values
  const dryRun = values['dry-run']
  if (!dryRun && registry === undefined)
    throw new Error('name the registry: --registry ghcr.io/OWNER, or use --dry-run')
  if (!dryRun && (key !== null) === keyless)
    throw new Error('choose how to sign: either --key FILE or --keyless')
  if (dryRun && keyless)
    throw new Error('--keyless writes to a public log, so a dry run cannot use it; use --key')
  if (dryRun && endpoint !== null && !isLoopback(endpoint))
    throw new Error(`--endpoint ${endpoint}: a dry run pushes only to a loopback address`)
  const { download = null, out = null } = values
  return { dryRun, registry: registry ?? 'berth.invalid', endpoint, download, key, keyless, out }
}

function isLoopback(url: string): boolean {
  const { hostname } = new URL(url)
  return hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(hostname)
}
