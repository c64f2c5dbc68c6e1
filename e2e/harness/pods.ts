/** Pods, and waiting for their states. */
import { getJson } from './kubectl.ts'
import { waitFor } from './wait.ts'

/** The fields of a pod that the scenarios read. */
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

/** A container in a pod's spec. */
export type PodContainer = { name: string; image: string; imagePullPolicy: string }

/** A container in a pod's status. `imageID` contains the digest that the node pulled. */
export type ContainerStatus = {
  name: string
  image: string
  imageID: string
  containerID?: string
  restartCount: number
  ready: boolean
  state: {
    waiting?: { reason: string; message?: string }
    running?: { startedAt: string }
    terminated?: { reason: string; exitCode: number }
  }
}

/** The settings of `podManifest`. For more containers or fields, spread them over its result. */
export type PodSettings = {
  name: string
  image: string
  namespace?: string
  pullSecret?: string
  pullPolicy?: 'Always' | 'IfNotPresent' | 'Never'
}

/** Returns a pod with one container. The default pull policy is Always, because the node keeps images. */
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

/** Returns a StatefulSet of one pod with one container. */
export function statefulSetManifest(settings: {
  name: string
  namespace: string
  container: string
  image: string
}): object {
  const { name, namespace, container, image } = settings
  const labels = { app: name }
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name, namespace },
    spec: {
      serviceName: name,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { terminationGracePeriodSeconds: 1, containers: [{ name: container, image }] },
      },
    },
  }
}

/** Returns a pod. */
export function getPod(name: string, namespace = 'default'): Promise<Pod> {
  return getJson<Pod>('pod', name, namespace)
}

/** Waits until every container of a pod is ready, and returns the pod. */
export function waitForPodRunning(name: string, namespace = 'default'): Promise<Pod> {
  return waitFor(`pod ${name} to run`, async () => {
    const pod = await getPod(name, namespace)
    const statuses = pod.status.containerStatuses ?? []
    if (pod.status.phase === 'Running' && statuses.every(({ ready }) => ready)) return pod
    throw new Error(describePod(pod))
  })
}

/** Waits until the node fails to pull an image of a pod; returns the kubelet's message. */
export function waitForPullFailure(name: string, namespace = 'default'): Promise<string> {
  return waitFor(`a pull failure of pod ${name}`, async () => {
    const pod = await getPod(name, namespace)
    const waiting = allStatuses(pod).find(({ state }) => isPullFailure(state.waiting?.reason))
    if (waiting === undefined) throw new Error(describePod(pod))
    return waiting.state.waiting?.message ?? ''
  })
}

/** Whether a container waits because its image cannot be pulled. */
export function isPullFailure(reason: string | undefined): boolean {
  return reason === 'ErrImagePull' || reason === 'ImagePullBackOff'
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
