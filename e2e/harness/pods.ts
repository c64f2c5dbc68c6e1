import { getJson } from './kubectl.ts'
import { waitFor } from './wait.ts'

/** What the scenarios look at in a pod. */
export type Pod = {
  metadata: {
    name: string
    uid: string
    annotations?: Record<string, string>
    labels?: Record<string, string>
  }
  spec: {
    containers: PodContainer[]
    initContainers?: PodContainer[]
    ephemeralContainers?: PodContainer[]
    imagePullSecrets?: { name: string }[]
  }
  status: {
    phase: string
    containerStatuses?: ContainerStatus[]
    initContainerStatuses?: ContainerStatus[]
    ephemeralContainerStatuses?: ContainerStatus[]
  }
}

/** A container as the pod's specification has it. */
export type PodContainer = { name: string; image: string; imagePullPolicy: string }

/** How a container is; `imageID` holds the digest the node pulled. */
export type ContainerStatus = {
  name: string
  image: string
  imageID: string
  ready: boolean
  state: {
    waiting?: { reason: string; message?: string }
    running?: { startedAt: string }
    terminated?: { reason: string; exitCode: number }
  }
}

/** How a simple pod is made; more containers or fields go in by spreading over what `podManifest` returns. */
export type PodSettings = {
  name: string
  image: string
  namespace?: string
  pullSecret?: string
  pullPolicy?: 'Always' | 'IfNotPresent' | 'Never'
}

/** A pod of one container. Its image is pulled every time, unless told otherwise: the node keeps what it pulled. */
export function podManifest({
  name,
  image,
  namespace = 'default',
  pullSecret,
  pullPolicy = 'Always',
}: PodSettings): { kind: 'Pod'; [field: string]: unknown } {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace },
    spec: {
      containers: [{ name: 'main', image, imagePullPolicy: pullPolicy }],
      terminationGracePeriodSeconds: 1,
      ...(pullSecret !== undefined && { imagePullSecrets: [{ name: pullSecret }] }),
    },
  }
}

/** A pod as it is now. */
export function getPod(name: string, namespace = 'default'): Promise<Pod> {
  return getJson<Pod>('pod', name, namespace)
}

/** Waits until every container of a pod runs and is ready, and returns the pod. */
export function waitForPodRunning(
  name: string,
  namespace = 'default',
  timeoutMs = 60_000,
): Promise<Pod> {
  return waitFor(
    `pod ${name} to run`,
    async () => {
      const pod = await getPod(name, namespace)
      const statuses = pod.status.containerStatuses ?? []
      if (pod.status.phase === 'Running' && statuses.every(({ ready }) => ready)) return pod
      throw new Error(describePod(pod))
    },
    { timeoutMs },
  )
}

/** Waits until a container of a pod waits for one of these reasons, and returns the message that comes with it. */
function podWaiting(
  name: string,
  reasons: readonly string[],
  namespace = 'default',
): Promise<string> {
  return waitFor(`pod ${name} to wait for ${reasons.join(' or ')}`, async () => {
    const pod = await getPod(name, namespace)
    const found = allStatuses(pod).find(({ state }) =>
      reasons.includes(state.waiting?.reason ?? ''),
    )
    if (found !== undefined) return found.state.waiting?.message ?? ''
    throw new Error(describePod(pod))
  })
}

/** Waits until the node cannot pull an image of a pod; returns what the kubelet says about it. */
export function waitForPullFailure(name: string, namespace = 'default'): Promise<string> {
  return podWaiting(name, ['ErrImagePull', 'ImagePullBackOff'], namespace)
}

function allStatuses({ status }: Pod): ContainerStatus[] {
  return [
    ...(status.initContainerStatuses ?? []),
    ...(status.containerStatuses ?? []),
    ...(status.ephemeralContainerStatuses ?? []),
  ]
}

function describePod(pod: Pod): string {
  const containers = allStatuses(pod).map(
    ({ name, image, state }) => `${name} (${image}): ${JSON.stringify(state)}`,
  )
  return [`phase ${pod.status.phase}`, ...containers].join('; ')
}
