/**
 * Reduces a pod to the fields that the console reads, so that thousands of pods fit into memory and nothing else of them, such
 * as environment variables, can reach the page. The result is still a pod for every function that reads one. Pure.
 */
import { imagesAnnotation } from '../decision/pod/images-annotation.ts'
import { annotations } from '../decision/pod/sites.ts'
import { isObject, type JsonObject, member, objectsMember } from '../json/json.ts'
import type { KubeObject } from '../kube/object.ts'
import { cutText } from '../text/cut-text.ts'

/** Containers and volumes of one list. No real pod has that many. */
const maxEntries = 64

/** Characters of a kubelet's message; the diagnosis reads no more. */
const maxMessage = 16_384

const containerLists = ['initContainers', 'containers', 'ephemeralContainers'] as const
const statusLists = ['initContainerStatuses', 'containerStatuses', 'ephemeralContainerStatuses'] as const // prettier-ignore

/** The annotation of static pods (kubelet, pkg/kubelet/types/pod_update.go). */
const staticPod = 'kubernetes.io/config.mirror'

/** Returns a copy with its metadata, image fields, pull secrets' names and the status of its containers. */
export function reducePod(pod: KubeObject): KubeObject {
  const { name, namespace, uid, creationTimestamp, deletionTimestamp, labels, ownerReferences } =
    pod.metadata
  const spec = member(pod, 'spec')
  const metadata = {
    name,
    ...pick({ namespace, uid, creationTimestamp, deletionTimestamp, labels, ownerReferences }),
    annotations: pickMembers(annotations(pod), [imagesAnnotation, staticPod]),
  } as KubeObject['metadata']
  return {
    metadata,
    spec: {
      ...pickMembers(spec, ['serviceAccountName', 'imagePullSecrets', 'nodeName', 'nodeSelector']),
      ...pickMembers(spec, ['os', 'affinity']),
      ...Object.fromEntries(
        containerLists.map((list) => [
          list,
          entries(spec, list).map((each) =>
            pickMembers(each, ['name', 'image', 'imagePullPolicy']),
          ),
        ]),
      ),
      volumes: entries(spec, 'volumes')
        .filter((each) => isObject(each['image']))
        .map((each) => pickMembers(each, ['name', 'image'])),
    },
    status: reduceStatus(member(pod, 'status')),
  } as KubeObject
}

function reduceStatus(status: unknown): object {
  return {
    ...pickMembers(status, ['phase']),
    conditions: objectsMember(status, 'conditions')
      .filter(({ type }) => type === 'Ready')
      .map((each) => pickMembers(each, ['type', 'status'])),
    ...Object.fromEntries(
      statusLists.map((list) => [
        list,
        entries(status, list).map((each) => ({
          ...pickMembers(each, ['name', 'image', 'imageID']),
          ...waitingOf(each),
        })),
      ]),
    ),
  }
}

function waitingOf(status: JsonObject): object {
  const waiting = member(status['state'], 'waiting')
  if (!isObject(waiting)) return {}
  const message = member(waiting, 'message')
  return {
    state: {
      waiting: {
        ...pickMembers(waiting, ['reason']),
        ...(typeof message === 'string' ? { message: cutText(message, maxMessage) } : {}),
      },
    },
  }
}

function entries(holder: unknown, list: string): readonly JsonObject[] {
  return objectsMember(holder, list).slice(0, maxEntries)
}

function pickMembers(holder: unknown, keys: readonly string[]): JsonObject {
  return pick(Object.fromEntries(keys.map((key) => [key, member(holder, key)])))
}

/** Leaves out undefined members. */
function pick(members: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined))
}
