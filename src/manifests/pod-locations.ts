/** Which objects of a manifest carry pods or images, and where in them. */
import { valueAt, type PodPath, podPath } from '../decision/pod/pod-path.ts'
import { isObject, member } from '../json/json.ts'
import type { Path } from './source.ts'

/** A kind beside the built-in ones, as `workloads` of the configuration names it. */
export interface CarrierKind {
  /** `group/Kind`. */
  readonly kind: string
  /** Where what holds `metadata` and `spec` of a pod stands; null when the kind has no pod template. */
  readonly pod: PodPath | null
  /** Where image names stand by themselves; `[]` in a path is each item of a list. */
  readonly images: readonly PodPath[]
}

/** A pod in an object, or one image that stands by itself, put into a pod so that it is decided like any other. */
export interface Carrier {
  /** Null where the object does not say. */
  readonly namespace: string | null
  readonly isPod: boolean
  readonly pod: unknown
  /** From the object to the pod. */
  readonly path: Path
  /** What a JSON Pointer into `pod` is, seen from `path`. */
  place(pointer: string): string
  /** What a site's name is to a reader. */
  site(name: string): string
}

/** Each pod and each image of an object. An object of another kind carries none. */
export function carriersIn(object: unknown, kinds: readonly CarrierKind[]): Carrier[] {
  const namespace = textOf(member(member(object, 'metadata'), 'namespace'))
  const own = kinds.filter(({ kind }) => kind === kindOf(object))
  const more = Object.fromEntries(
    own.flatMap(({ kind, pod }) => (pod === null ? [] : [[kind, pod]])),
  )
  const path = podPath(object, more)
  const pod = path === null ? undefined : valueAt(object, path)
  const pods: Carrier[] =
    path === null || !isObject(pod)
      ? []
      : [{ namespace, isPod: true, pod, path, place: (pointer) => pointer, site: (name) => name }]
  const images = own
    .flatMap(({ images: paths }) => paths)
    .flatMap((each) => expand(object, each))
    .map(({ path: found, image }): Carrier => {
      const name = found.join('.')
      return {
        namespace,
        isPod: false,
        pod: { spec: { containers: [{ name, image }] } },
        path: found,
        place: () => '',
        site: () => name,
      }
    })
  return [...pods, ...images]
}

/** `apps/Deployment web`, as errors and reports name an object. */
export function titleOf(object: unknown): string {
  const name =
    textOf(member(member(object, 'metadata'), 'name')) ??
    textOf(member(member(object, 'metadata'), 'generateName'))
  return [kindOf(object).replace(/^\//, ''), ...(name === null ? [] : [name])].join(' ')
}

/** What a reader should know of an object that carries images where they cannot be changed. */
export function notesOn(object: unknown): string[] {
  const kind = kindOf(object)
  if (kind === 'helm.toolkit.fluxcd.io/HelmRelease')
    return [
      'its values are left alone, because only its chart knows which of them are images; the webhook changes its pods',
    ]
  if (kind === 'kustomize.config.k8s.io/Kustomization' && Array.isArray(member(object, 'images')))
    return [
      'its images go by the names as they are written in the bases; rewrite what kustomize builds, not what it reads',
    ]
  return []
}

/** `apps/Deployment`, `/Pod`; empty for what is no object of Kubernetes. */
function kindOf(object: unknown): string {
  const apiVersion = textOf(member(object, 'apiVersion'))
  const kind = textOf(member(object, 'kind'))
  if (apiVersion === null || kind === null) return ''
  const slash = apiVersion.indexOf('/')
  return `${slash === -1 ? '' : apiVersion.slice(0, slash)}/${kind}`
}

function expand(value: unknown, path: PodPath, before: Path = []): { path: Path; image: string }[] {
  const [key, ...rest] = path
  if (key === undefined)
    return typeof value === 'string' && value !== '' ? [{ path: before, image: value }] : []
  if (key !== '[]') return expand(member(value, key), rest, [...before, key])
  return Array.isArray(value)
    ? value.flatMap((item: unknown, index) => expand(item, rest, [...before, index]))
    : []
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}
