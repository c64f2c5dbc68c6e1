/** A cluster for the console: pods of several namespaces, some of which cannot pull, and secrets that must never reach the page. */
import type { KubeObject } from '../../src/kube/object.ts'
import { type FakeKube, startFakeKube } from './fake-kube.ts'

/** Occurs in each place of the cluster and the config that holds a secret. */
export const canary = 'canary-7f3a'

export interface ConsolePod {
  readonly name: string
  readonly namespace: string
  readonly image: string
  /** The image before Berth changed it. */
  readonly from?: string
  readonly app?: string
  /** The kubelet's message about a pull that fails. */
  readonly fails?: string
  readonly pullSecret?: string
  readonly env?: string
}

const digest = (text: string) =>
  `sha256:${Buffer.from(text).toString('hex').padEnd(64, '0').slice(0, 64)}`

export function consolePod(pod: ConsolePod): KubeObject {
  const { name, namespace, image, from, app = name, fails, pullSecret, env } = pod
  const records = [
    { site: 'containers/main', from, to: image, row: 'hub', why: 'found on mirror.example' },
  ]
  const waiting = {
    name: 'main',
    image,
    imageID: '',
    ready: false,
    state: { waiting: { reason: 'ErrImagePull', message: fails } },
  }
  const running = {
    name: 'main',
    image,
    imageID: `${image.split('@')[0]}@${digest(image)}`,
    ready: true,
    state: { running: { startedAt: '2026-11-20T10:00:00Z' } },
  }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      uid: `${namespace}-${name}`,
      creationTimestamp: '2026-11-20T10:00:00Z',
      labels: { app },
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'ReplicaSet',
          name: `${app}-5d9c`,
          uid: app,
          controller: true,
        },
      ],
      ...(from === undefined
        ? {}
        : { annotations: { 'berth.dev/images': JSON.stringify(records) } }),
    },
    spec: {
      nodeName: 'node-1',
      serviceAccountName: 'default',
      containers: [{ name: 'main', image, env: [{ name: 'PASSWORD', value: env }] }],
      ...(pullSecret === undefined ? {} : { imagePullSecrets: [{ name: pullSecret }] }),
    },
    status: {
      phase: fails === undefined ? 'Running' : 'Pending',
      conditions: [{ type: 'Ready', status: fails === undefined ? 'True' : 'False' }],
      containerStatuses: [fails === undefined ? running : waiting],
    },
  } as KubeObject
}

/** What containerd says about a tag that does not exist. */
export function notFound(image: string): string {
  return `failed to pull and unpack image "${image}": failed to resolve reference "${image}": ${image}: not found`
}

function pullSecretObject(name: string, namespace: string, host: string): KubeObject {
  const auths = { [host]: { username: 'puller', password: canary } }
  return {
    metadata: { name, namespace },
    type: 'kubernetes.io/dockerconfigjson',
    data: {
      '.dockerconfigjson': Buffer.from(JSON.stringify({ auths })).toString('base64'),
    },
  } as KubeObject
}

/** The config of the console: a mirror, an upstream, and a row that matches nothing. */
export function consoleConfig(mirrorUrl: string, upstreamUrl: string): string {
  return `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: mirror.example, endpoint: '${mirrorUrl}', mirror: true, proxy: none }
  - { host: docker.io, endpoint: '${upstreamUrl}', proxy: none }
  - { host: far.example, proxy: 'http://user:${canary}@127.0.0.1:9' }
fallback:
  - { name: databases, images: ['docker.io/library/postgres'], leave: true }
  - { name: hub, images: ['docker.io/**'], try: ['mirror.example/{path}', 'docker.io/{path}'] }
  - { name: unused, images: ['far.example/**'], try: ['mirror.example/{path}'] }
`
}

/** Starts an API server with these pods, their namespaces and a pull secret. */
export function startConsoleKube(pods: readonly ConsolePod[]): FakeKube {
  const kube = startFakeKube()
  for (const name of new Set(pods.map(({ namespace }) => namespace))) {
    kube.put('namespaces', { metadata: { name } })
    kube.put('serviceaccounts', { metadata: { name: 'default', namespace: name } })
  }
  for (const pod of pods) {
    kube.put('pods', consolePod(pod))
    const { namespace, pullSecret } = pod
    if (pullSecret !== undefined)
      kube.put('secrets', pullSecretObject(pullSecret, namespace, 'mirror.example'))
  }
  return kube
}
