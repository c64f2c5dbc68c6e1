/** Reads the form of the view "Try an image". Pure. */

export interface TryForm {
  readonly image: string
  readonly namespace: string
  readonly labels: string
  readonly owner: string
  readonly platform: string
}

export type TryQuestion =
  | {
      readonly ok: true
      readonly question: {
        readonly image: string
        readonly namespace?: string
        readonly labels?: Readonly<Record<string, string>>
        readonly owners?: readonly string[]
        readonly platforms?: readonly string[]
      }
    }
  | { readonly ok: false; readonly problem: string }

/** Reads the form. An empty field means that the value is not known; the owner `none` means a pod without an owner. */
export function readTryForm(form: TryForm): TryQuestion {
  const [image, namespace, labels, owner, platform] = [
    form.image,
    form.namespace,
    form.labels,
    form.owner,
    form.platform,
  ].map((text) => text.trim())
  if (image === undefined || image === '') return { ok: false, problem: 'Enter an image.' }
  const pairs = split(labels).map((pair) => pair.split('='))
  if (pairs.some((pair) => pair.length !== 2 || pair[0] === ''))
    return { ok: false, problem: 'Write labels as KEY=VALUE,KEY=VALUE.' }
  const platforms = split(platform)
  if (platforms.some((each) => !/^[a-z0-9]+\/[a-z0-9_]+(?:\/[a-z0-9.]+)?$/.test(each)))
    return { ok: false, problem: 'Write a platform as OS/ARCH, for example linux/arm64.' }
  return {
    ok: true,
    question: {
      image,
      ...(namespace === undefined || namespace === '' ? {} : { namespace }),
      ...(pairs.length === 0
        ? {}
        : { labels: Object.fromEntries(pairs) as Record<string, string> }),
      ...(owner === '' ? {} : { owners: owner === 'none' ? [] : split(owner) }),
      ...(platforms.length === 0 ? {} : { platforms }),
    },
  }
}

function split(text = ''): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}
