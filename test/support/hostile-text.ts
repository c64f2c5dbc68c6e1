/** Objects, configs and responses of registries whose texts control a terminal, unless they are escaped. */

/** A title, a colour by a C1 control, a carriage return, an override, and two separators of lines. */
export const hostile = '\u001B]0;title\u0007\u009B31m\r\u202Eegnahc\u2028\u0085\u007F'

/** The digest of the images. */
export const digest = `sha256:${'a'.repeat(64)}`

/** A body of a registry's error response. */
export function errorBody(message: string): string {
  return JSON.stringify({ errors: [{ code: message, message, detail: message }] })
}

/** Returns the JSON as YAML, which allows no control characters, also not in quotes. */
export function escapeNonAscii(json: string): string {
  return json.replaceAll(
    /[^ -~]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** A config with one registry at `endpoint`. `host` is in its templates, `name` in the names of its rows. */
export function configOf(endpoint: string, host: string, name: string): object {
  return {
    apiVersion: 'berth.dev/v1alpha1',
    kind: 'BerthConfig',
    registries: [
      { host: 'mirror.example', endpoint, mirror: true },
      { host: 'docker.io', endpoint },
    ],
    fallback: [
      {
        name: `row ${name}`,
        images: ['docker.io/**'],
        try: [`${host}/{path}`, 'docker.io/{path}'],
      },
      { name: `unused ${name}`, images: ['docker.io/library/**'], try: [`${host}/{path}`] },
    ],
    pullSecrets: [{ registries: ['mirror.example'], secret: 'pull' }],
    pullSecretCopies: {
      copies: [
        { name: 'pull', from: ['infra/pull'], namespaces: ['shop'], serviceAccounts: ['default'] },
      ],
    },
    workloads: [{ kind: 'argoproj.io/Rollout', images: ['spec.image'] }],
    tests: [{ image: `nginx:${hostile}`, expect: hostile }],
  }
}

/** A pod that cannot pull, with an annotation that Berth has not written. */
export function podOf(
  name: string,
  namespace?: string,
): { metadata: object } & Record<string, unknown> {
  const containers = [
    { name: `c${hostile}`, image: `nginx${hostile}` },
    { name: 'valid', image: 'nginx:1' },
  ]
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      ...(namespace !== undefined && { namespace }),
      uid: '1',
      labels: { app: hostile },
      annotations: {
        'berth.dev/images': JSON.stringify([
          {
            site: 'containers/valid',
            from: `nginx:1${hostile}`,
            to: hostile,
            row: hostile,
            why: hostile,
          },
        ]),
      },
    },
    spec: {
      nodeName: `node${hostile}`,
      serviceAccountName: 'default',
      imagePullSecrets: [{ name: `secret${hostile}` }, { name: 'pull' }],
      containers,
    },
    status: {
      phase: 'Pending',
      containerStatuses: containers.map((container) => ({
        ...container,
        imageID: `docker.io/library/nginx@${digest}${hostile}`,
        state: {
          waiting: {
            reason: 'ErrImagePull',
            message: `manifest for ${hostile} not found: manifest unknown: ${hostile} ${'x'.repeat(1_000_000)}`,
          },
        },
      })),
    },
  }
}

/** The objects of a cluster with such a pod, by their resource. */
export function clusterObjects(): [string, never][] {
  const auths = {
    [`mirror.example${hostile}`]: { auth: 'dTpw' },
    'mirror.example': { auth: 'dTpw' },
  }
  const data = { '.dockerconfigjson': Buffer.from(JSON.stringify({ auths })).toString('base64') }
  const type = 'kubernetes.io/dockerconfigjson'
  const labels = { 'berth.dev/copyable': 'true', 'berth.dev/source': 'true' }
  const nodeInfo = {
    containerRuntimeVersion: `containerd://2${hostile}`,
    kubeletVersion: `v1${hostile}`,
    osImage: hostile,
  }
  return [
    ['pods', podOf(`web${hostile}`, 'shop')],
    [
      'namespaces',
      { metadata: { name: 'shop', labels: { 'kubernetes.io/metadata.name': 'shop' } } },
    ],
    ['namespaces', { metadata: { name: 'infra' } }],
    ['serviceaccounts', { metadata: { name: 'default', namespace: 'shop' } }],
    ['secrets', { metadata: { name: 'pull', namespace: 'infra', labels }, type, data }],
    ['secrets', { metadata: { name: 'pull', namespace: 'shop' }, type: hostile, data }],
    ['nodes', { metadata: { name: `node${hostile}` }, status: { nodeInfo } }],
    [
      'events',
      {
        metadata: { name: 'e', namespace: 'shop' },
        involvedObject: { kind: 'Pod', name: `web${hostile}`, namespace: 'shop', uid: '1' },
        type: 'Warning',
        reason: 'Failed',
        message: `Failed to pull image "nginx${hostile}": ${hostile}`,
      },
    ],
  ] as unknown as [string, never][]
}
