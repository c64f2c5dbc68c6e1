/** Builds reviews as an API server sends them, with pods of three sizes. Each run gets the same bytes. */

export interface BenchReview {
  readonly name: string
  readonly images: number
  /** True: all pods belong to one controller, as in a rollout. False: each pod has another controller. */
  readonly hasOneController: boolean
  readonly body: Buffer
}

/** The mirror of the benchmarks' table, which has every image. */
export const mirrorHost = 'mirror.bench:5000'

/** The parts of the body that differ between reviews (see variation.ts). */
export const tokenSuffix = 'x7k2p'
export const templateHash = '6b7f9c5d4'
export const benchUid = '5c1e7a52-2b8f-4b0c-9d0e-6f1a2c3b4d5e'

const kilobyte = 1_024

/** One container; five with labels and environment (8 KB), of one controller and of many; sixteen (200 KB). */
export function benchReviews(): BenchReview[] {
  return [
    makeReview('1 image', 1, 0),
    makeReview('5 images, 8 KB', 5, 8 * kilobyte),
    { ...makeReview('5 images, 8 KB, many controllers', 5, 8 * kilobyte), hasOneController: false },
    makeReview('16 images, 200 KB', 16, 200 * kilobyte),
  ]
}

/** A review of a new pod with this many different images, padded with environment variables to this size. */
export function makeReview(name: string, images: number, bytes: number): BenchReview {
  const bare = render(images, 0)
  const sample = render(images, 10 * images)
  const perVariable = (sample.length - bare.length) / (10 * images)
  const variables = Math.max(0, Math.floor((bytes - bare.length) / perVariable))
  return { name, images, hasOneController: true, body: render(images, variables) }
}

/** Typical images: three registries, with and without a tag. */
export function imageName(index: number): string {
  const tag = index % 3 === 0 ? '' : `:1.${index}.0`
  const repositories = ['team', 'ghcr.io/acme', 'quay.io/acme/tools']
  return `${repositories[index % 3]}/service-${index}${tag}`
}

function render(images: number, variables: number): Buffer {
  const containers = Array.from({ length: images }, (_, index) => {
    const mine = Math.floor(variables / images) + (index < variables % images ? 1 : 0)
    return container(index, mine)
  })
  return Buffer.from(JSON.stringify(review(containers)))
}

function container(index: number, variables: number): object {
  const env = Array.from({ length: variables }, (_, n) => ({
    name: `SETTING_${index}_${n}`,
    value: `postgres://service-${index}.team.svc:5432/database?option=${n}`,
  }))
  return {
    name: `service-${index}`,
    image: imageName(index),
    ...(env.length === 0 ? {} : { env }),
    resources: { limits: { memory: '256Mi' }, requests: { cpu: '100m', memory: '128Mi' } },
    volumeMounts: [
      {
        name: `kube-api-access-${tokenSuffix}`,
        readOnly: true,
        mountPath: '/var/run/secrets/kubernetes.io/serviceaccount',
      },
    ],
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    imagePullPolicy: 'IfNotPresent',
  }
}

function review(containers: readonly object[]): object {
  const group = 'system:serviceaccounts'
  return {
    kind: 'AdmissionReview',
    apiVersion: 'admission.k8s.io/v1',
    request: {
      uid: benchUid,
      kind: { group: '', version: 'v1', kind: 'Pod' },
      resource: { group: '', version: 'v1', resource: 'pods' },
      requestKind: { group: '', version: 'v1', kind: 'Pod' },
      requestResource: { group: '', version: 'v1', resource: 'pods' },
      namespace: 'team',
      operation: 'CREATE',
      userInfo: {
        username: 'system:serviceaccount:kube-system:replicaset-controller',
        uid: '0a3f6f8e-6d4c-4a8e-9c55-2a5d1f6e7b80',
        groups: [group, `${group}:kube-system`, 'system:authenticated'],
      },
      object: pod(containers),
      oldObject: null,
      dryRun: false,
      options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
    },
  }
}

function pod(containers: readonly object[]): object {
  return {
    kind: 'Pod',
    apiVersion: 'v1',
    metadata: {
      generateName: `service-${templateHash}-`,
      namespace: 'team',
      labels: {
        app: 'service',
        'app.kubernetes.io/part-of': 'shop',
        'pod-template-hash': templateHash,
      },
      annotations: { 'prometheus.io/scrape': 'true', 'prometheus.io/port': '9090' },
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'ReplicaSet',
          name: `service-${templateHash}`,
          uid: 'd2f0c1b7-4c35-45b1-8f0e-1b1f9c0a7e42',
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    spec: {
      volumes: [
        {
          name: `kube-api-access-${tokenSuffix}`,
          projected: {
            sources: [
              { serviceAccountToken: { expirationSeconds: 3_607, path: 'token' } },
              {
                configMap: {
                  name: 'kube-root-ca.crt',
                  items: [{ key: 'ca.crt', path: 'ca.crt' }],
                },
              },
            ],
            defaultMode: 420,
          },
        },
      ],
      containers,
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: 30,
      dnsPolicy: 'ClusterFirst',
      serviceAccountName: 'default',
      serviceAccount: 'default',
      securityContext: {},
      schedulerName: 'default-scheduler',
      tolerations: [
        {
          key: 'node.kubernetes.io/not-ready',
          operator: 'Exists',
          effect: 'NoExecute',
          tolerationSeconds: 300,
        },
      ],
      priority: 0,
      enableServiceLinks: true,
      preemptionPolicy: 'PreemptLowerPriority',
    },
    status: {},
  }
}
