/** The pulls of a pod that fail, as its status and its events tell of them. Reads raw objects. Pure. */
import { findSites } from '../decision/pod/sites.ts'
import { isObject, member } from '../json/json.ts'
import { classify } from './rules/classify.ts'

/** One image that does not come. */
export interface PullFailure {
  readonly namespace: string
  readonly pod: string
  readonly container: string
  readonly image: string
  /** Null before the pod has one. */
  readonly node: string | null
  /** What the kubelet calls it: `ErrImagePull`, `InvalidImageName`, `FailedCreatePodSandBox` … */
  readonly reason: string
  readonly message: string
}

/** A Warning of the kubelet about a pod. */
export interface PodEvent {
  readonly reason: string
  readonly message: string
}

/** Reasons of a waiting container that speak of its image (k8s.io/kubernetes v1.36, pkg/kubelet/images/types.go and pkg/kubelet/container/sync_result.go). */
const reasons: ReadonlySet<string> = new Set([
  'ErrImagePull',
  'ImagePullBackOff',
  'ErrImageNeverPull',
  'InvalidImageName',
  'ImageInspectError',
  'RegistryUnavailable',
  'SignatureValidationFailed',
])

const statusLists = [
  ['initContainerStatuses', 'initContainers'],
  ['containerStatuses', 'containers'],
  ['ephemeralContainerStatuses', 'ephemeralContainers'],
] as const

/** `events` are the pod's, oldest first: kubelets before 1.31 write the cause there alone. */
export function pullFailures(pod: unknown, events: readonly PodEvent[]): PullFailure[] {
  const metadata = member(pod, 'metadata')
  const node = text(member(pod, 'spec'), 'nodeName')
  const home = {
    namespace: text(metadata, 'namespace'),
    pod: text(metadata, 'name'),
    node: node === '' ? null : node,
  }
  const images = new Map(findSites(pod).map(({ name, image }) => [name, image]))
  const waiting = statusLists.flatMap(([list, site]) =>
    listOf(member(member(pod, 'status'), list)).flatMap((status) => {
      const state = member(member(status, 'state'), 'waiting')
      const reason = text(state, 'reason')
      if (!reasons.has(reason) && !isPullError(reason)) return []
      const container = text(status, 'name')
      const image = images.get(`${site}/${container}`) ?? text(status, 'image')
      const message = fullest(text(state, 'message'), { reason, image, events })
      return [{ ...home, container, image, reason, message }]
    }),
  )
  const sandbox = events.findLast(
    ({ reason, message }) =>
      reason === 'FailedCreatePodSandBox' && classify(message).cause.rule === 'D13',
  )
  if (waiting.length > 0 || sandbox === undefined) return waiting
  return [{ ...home, container: '', image: '', ...sandbox }]
}

/** What goes wrong before a pull begins, a secret that cannot be read for one, the kubelet puts into the reason as it is. */
function isPullError(reason: string): boolean {
  return reason.includes(' ') && classify(reason).cause.rule !== 'D99'
}

interface Told {
  readonly reason: string
  readonly image: string
  readonly events: readonly PodEvent[]
}

/** Rules of messages that say nothing of the image: unknown ones, and the kubelet's own limit, which passes and hides what came before. */
const sayNothing: ReadonlySet<string> = new Set(['D99', 'D14'])

/** The status, if it says a cause; else the latest event about this image that does. */
function fullest(message: string, { reason, image, events }: Told): string {
  const told = [
    message === '' ? reason : `${reason}: ${message}`,
    ...events
      .filter((event) => event.message.includes(`"${image}"`))
      .map((event) => event.message)
      .toReversed(),
  ]
  const ruled = told.map((each) => ({ each, rule: classify(each).cause.rule }))
  const found =
    ruled.find(({ rule }) => !sayNothing.has(rule)) ?? ruled.find(({ rule }) => rule !== 'D99')
  return found?.each ?? told[0] ?? reason
}

function text(value: unknown, key: string): string {
  const found = member(value, key)
  return typeof found === 'string' ? found : ''
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value.filter(isObject) : []
}
