/** Finds the waiting containers of a pod, and the image field that the kubelet's message is about. Reads raw objects. Pure. */
import { member, objectsMember, textMember } from '../../json/json.ts'
import { parseReference } from '../reference/parse.ts'
import { formatAsPulled } from '../reference/reference.ts'
import { findSites, type Site } from './sites.ts'

export interface WaitingContainer {
  readonly name: string
  /** The kubelet's reason: `ErrImagePull`, `ContainerCreating` … */
  readonly reason: string
  readonly message: string
  readonly image: WaitingImage
}

/** The image that a message is about. */
export interface WaitingImage {
  readonly image: string
  /** The name of its field: `containers/web`, `volumes/model`. Null if the pod has no field with this image. */
  readonly field: string | null
}

const statusLists = [
  ['initContainerStatuses', 'initContainers'],
  ['containerStatuses', 'containers'],
  ['ephemeralContainerStatuses', 'ephemeralContainers'],
] as const

/** Returns the waiting containers in the order of the pod's status. */
export function waitingContainers(pod: unknown): WaitingContainer[] {
  const sites = findSites(pod)
  return statusLists.flatMap(([list, field]) =>
    objectsMember(member(pod, 'status'), list).flatMap((status) => {
      const waiting = member(member(status, 'state'), 'waiting')
      const reason = textMember(waiting, 'reason')
      if (reason === '') return []
      const name = textMember(status, 'name')
      const message = textMember(waiting, 'message')
      const own = sites.find((site) => site.name === `${field}/${name}`)
      const fallback = { image: textMember(status, 'image'), field: null }
      const image = imageOfMessage(message, sites, own) ?? (own ? imageOf(own) : fallback)
      return [{ name, reason, message, image }]
    }),
  )
}

/** In characters. The kubelet and the runtime name the image at the beginning of a message. */
const maxMessageLength = 4_096

/**
 * How the kubelet (pkg/kubelet/images/image_manager.go) and containerd name the image that they pull. Registries quote other
 * names: `denied: image "team/app" is blocked`, `manifest unknown: tag "1"`.
 */
const quotedNames =
  /\b(?:(?:[Pp]ull(?:ing)?|unpack|inspect|resolve|parse|default|sandbox|Container) image(?: name| tag)?|resol?ve reference) "([^"\s]{1,512})"|\bimage pull failed for (\S{1,512}) because/g

/**
 * Returns the image that a message names; null if it names none. The status of a container also reports failures of the
 * image volumes that it mounts (pkg/kubelet/kuberuntime/kuberuntime_manager.go, toKubeContainerImageVolumes).
 */
function imageOfMessage(
  message: string,
  sites: readonly Site[],
  own: Site | undefined,
): WaitingImage | null {
  const text = message.slice(0, maxMessageLength).replaceAll('\\"', '"')
  const quoted = [...text.matchAll(quotedNames)].map(([, name, failed]) => name ?? failed ?? '')
  // A runtime can name an image by its id.
  const names = quoted.filter((name) => !name.startsWith('sha256:'))
  const pulled = new Set(names.map(asPulled))
  const volumes = sites.filter(({ name }) => name.startsWith('volumes/'))
  const candidates = own === undefined ? sites : [own, ...volumes, ...sites]
  const named = candidates.find(({ image }) => pulled.has(asPulled(image)))
  if (named !== undefined) return imageOf(named)
  // CRI-O names only the image that it reads, which can be that of a configured mirror.
  const read = /\bdocker:\/\/([^\s"']{1,512}?)(?=[:,.)\]]*(?:[\s"']|$))/.exec(text)?.[1]
  const source = sites.find(({ image }) => read !== undefined && asPulled(image) === asPulled(read))
  if (source !== undefined && names.length === 0) return imageOf(source)
  return names[0] === undefined ? null : { image: names[0], field: null }
}

function imageOf({ image, name }: Site): WaitingImage {
  return { image, field: name }
}

function asPulled(image: string): string {
  const parsed = parseReference(image)
  return parsed.ok ? formatAsPulled(parsed.reference) : image
}
