/** Platforms such as `linux/arm64/v8`, and which of them a node can run (containerd, package platforms). */

/** The architectures that have two names (containerd/platforms, normalizeArch). */
const otherNames: Readonly<Record<string, string>> = {
  i386: '386',
  x86_64: 'amd64',
  'x86-64': 'amd64',
  aarch64: 'arm64',
  armhf: 'arm/v7',
  armel: 'arm/v6',
}

/** The variant of an architecture whose name has none. */
const defaultVariants: Readonly<Record<string, number>> = { arm: 7, arm64: 8, amd64: 1 }

/** The lowest variant of each architecture. */
const lowestVariants: Readonly<Record<string, number>> = { arm: 5, arm64: 8, amd64: 1 }

/** What else nodes of an architecture run. */
const olderArchitectures: Readonly<Record<string, string>> = { amd64: '386', arm64: 'arm/v8' }

/** `os/arch` or `os/arch/variant`. No name in use is longer. */
const pattern = /^[a-z0-9]{1,20}\/[a-z0-9_-]{1,20}(?:\/[a-z0-9.]{1,20})?$/

export function isPlatform(text: string): boolean {
  return pattern.test(text)
}

/**
 * Returns true if a node of the platform `wanted` can run an image that has the platforms `available`. As in containerd, a node
 * also runs lower variants, and 32-bit images of its family.
 *
 * @example canRun(['linux/arm64/v8'], 'linux/arm64') // true
 */
export function canRun(available: readonly string[], wanted: string): boolean {
  const runnable = runnableOn(wanted)
  return available.some((each) => runnable.has(normalize(each)))
}

/** Returns every platform, in its normal form, that a node runs. */
function runnableOn(wanted: string): ReadonlySet<string> {
  const [os = '', architecture = '', variant = ''] = normalize(wanted).split('/')
  const older = olderArchitectures[architecture]
  const runnable = lowerVariants(os, architecture, variant)
  return new Set(older === undefined ? runnable : [...runnable, ...runnableOn(`${os}/${older}`)])
}

/** Returns a platform and those of the same architecture with lower variants. */
function lowerVariants(os: string, architecture: string, variant: string): string[] {
  const number = /^v([1-9])$/.exec(variant)?.[1]
  const lowest = lowestVariants[architecture]
  if (number === undefined || lowest === undefined) return [join([os, architecture, variant])]
  const count = Math.max(1, Number(number) - lowest + 1)
  return Array.from({ length: count }, (_, at) => `${os}/${architecture}/v${Number(number) - at}`)
}

/** Returns the platform with the usual name of its architecture, and with its variant. */
function normalize(platform: string): string {
  const [os = '', name = '', given] = platform.toLowerCase().split('/')
  const [architecture = '', implied] = (otherNames[name] ?? name).split('/')
  const number = defaultVariants[architecture]
  const variant = given ?? implied ?? (number === undefined ? '' : `v${number}`)
  // Some tools write `8` for `v8`.
  return join([os, architecture, /^[1-9]$/.test(variant) ? `v${variant}` : variant])
}

function join(parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join('/')
}

/** Returns `linux/arm64/v8` for the platform of a descriptor or a config; null if it has none, as an attestation. */
export function platformOf(platform: unknown): string | null {
  const { os, architecture, variant } = (platform ?? {}) as Readonly<Record<string, unknown>>
  if (typeof os !== 'string' || typeof architecture !== 'string' || os === 'unknown') return null
  const parts = [os, architecture]
  if (typeof variant === 'string' && variant !== '') parts.push(variant)
  return parts.join('/')
}
