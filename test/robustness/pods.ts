/** Generators of pods and reviews as text: valid ones, ones that a tenant can cause, and ones with anything in any place. */
import { requiredAffinityKey } from '../../src/decision/pod/pod-platforms.ts'
import { fc } from '../support/fast-check.ts'
import { digestA } from '../support/manifest-answers.ts'
import {
  braced,
  hostile,
  json,
  type JsonText,
  listOf,
  objectOf,
  quoted,
  wild,
} from './json-text.ts'
import { deniedImage } from './subject.ts'

const plainImages = [
  'nginx',
  'nginx:1.27',
  'docker.io/library/nginx',
  'index.docker.io/library/nginx:latest',
  `nginx@${digestA}`,
  `nginx:1@${digestA}`,
  'quay.io/team/app:1',
  'quay.io/team/app',
  'QUAY.io/team/app:1',
  'ghcr.io/team/app:1',
  'ghcr.io/team/app2',
  'first.example/app',
  'mirror.example/docker.io/library/nginx:latest',
  `mirror.example/docker.io/library/nginx:latest@${digestA}`,
  'mirror.example/app:1',
  'elsewhere.example/app:1',
  'auto',
]

/** Spellings that some parser may read as another host, invalid names, and names that are too long. */
export const hostileImages = [
  'nɡinx',
  'qυay.io/team/app',
  'Ｑuay.io/team/app',
  'quay。io/team/app',
  'quay.io\u200b/team/app',
  '\u202equay.io/team/app',
  'nginx\u0000',
  'nginx\n',
  'nginx\nquay.io/x',
  ' nginx',
  '@',
  'nginx@',
  '@quay.io/x',
  'quay.io@elsewhere.example/x',
  'user:word@quay.io/x',
  '\\',
  'quay.io\\@elsewhere.example/x',
  'http://quay.io/x',
  '//quay.io/x',
  'quay.io//x',
  'quay.io/../x',
  'quay.io/%2e%2e/x',
  'quay.io/x?y=z',
  'quay.io/x#y',
  'quay.io/x:1/../../2',
  'quay.io:/x',
  'quay.io:0/x',
  'quay.io:443/x',
  'quay.io:99999999999999999999/x',
  'quay.io./x',
  'quay.io.elsewhere.example/x',
  '0/x:1',
  '0x7f.1/x',
  '0x7f.1:5000/x',
  '0x7f000001:5000/x',
  '0177.0.0.1/x',
  '127.1:5000/x',
  '2130706433:5000/x',
  '169.254.169.254/latest/meta-data',
  '[::1]/x',
  '[::ffff:127.0.0.1]:5000/x',
  '[fe80::1%25eth0]:5000/x',
  'localhost/x',
  'foo_bar.com/x',
  'x:',
  ':1',
  `x:${'t'.repeat(129)}`,
  'a'.repeat(64),
  'sha256:'.padEnd(71, 'a'),
  `x@sha256:${'A'.repeat(64)}`,
  `x@sha512:${'a'.repeat(64)}`,
  `x@md5:${'a'.repeat(32)}`,
  `${'x/'.repeat(128)}x`,
  '$(IMAGE)',
  '{{ .Values.image }}',
]

export const image: fc.Arbitrary<string> = fc.oneof(
  { arbitrary: fc.constantFrom(...plainImages), weight: 12 },
  { arbitrary: fc.constantFrom(...hostileImages), weight: 4 },
  { arbitrary: hostile, weight: 1 },
  {
    arbitrary: fc
      .tuple(fc.constantFrom(...plainImages), hostile, fc.nat(40))
      .map(([text, odd, at]) => text.slice(0, at) + odd + text.slice(at)),
    weight: 2,
  },
)

export const name: fc.Arbitrary<string> = fc.oneof(
  { arbitrary: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', '0', '1'), weight: 10 },
  { arbitrary: hostile, weight: 1 },
)
const policy = fc.constantFrom('Always', 'IfNotPresent', 'Never', '')
const lists = ['initContainers', 'containers', 'ephemeralContainers', 'volumes']

/** What a tenant could write into the annotation: records that match the pod, records that do not, and other text. */
const forged: fc.Arbitrary<string> = fc.oneof(
  {
    arbitrary: listOf(
      objectOf(
        {
          site: quoted(fc.tuple(fc.constantFrom(...lists), name).map((parts) => parts.join('/'))),
          from: quoted(image),
          to: quoted(image),
          row: fc.constantFrom('null', '"hub"'),
          why: quoted(hostile),
        },
        { toJSON: json },
      ),
      4,
    ),
    weight: 4,
  },
  { arbitrary: json, weight: 1 },
  { arbitrary: hostile, weight: 1 },
)

const annotations = fc
  .tuple(
    fc.array(fc.tuple(quoted(hostile), wild(quoted(hostile))), { maxLength: 3 }),
    fc.option(wild(quoted(forged)), { freq: 1, nil: null }),
  )
  .map(([others, ours]) =>
    braced([...others, ...(ours === null ? [] : [['"berth.dev/images"', ours] as const])]),
  )

const labels = objectOf(
  {},
  {
    app: wild(quoted(fc.constantFrom('db', 'web'))),
    'berth.dev/rewrite': quoted(fc.constant('disabled')),
  },
)
const owners = listOf(
  wild(
    objectOf(
      {
        apiVersion: quoted(fc.constantFrom('apps/v1', 'v1', 'db.example/v1')),
        kind: quoted(fc.constantFrom('ReplicaSet', 'Cluster')),
      },
      { uid: json },
    ),
  ),
  2,
)
const container = objectOf(
  { name: wild(quoted(name)), image: wild(quoted(image)) },
  {
    imagePullPolicy: wild(quoted(policy)),
    env: listOf(objectOf({ name: quoted(hostile), value: quoted(hostile) }), 2),
    resources: json,
  },
)
const volume = objectOf(
  { name: wild(quoted(name)) },
  {
    image: wild(objectOf({ reference: wild(quoted(image)) }, { pullPolicy: wild(quoted(policy)) })),
    configMap: json,
  },
)
const secrets = listOf(wild(objectOf({ name: quoted(fc.constantFrom('ours', 'theirs')) })), 2)
const maybeNull = (text: JsonText) => fc.oneof({ arbitrary: text, weight: 8 }, fc.constant('null'))

const architecture = fc.constantFrom('"amd64"', '"arm64"', '"s390x"', '1')
const nodeSelector = fc.oneof(
  json,
  architecture.map((each) => `{"kubernetes.io/arch":${each},"zone":"a"}`),
)
const affinity = fc.oneof(
  json,
  fc
    .array(architecture, { maxLength: 3 })
    .map(
      (values) =>
        `{"nodeAffinity":{"${requiredAffinityKey}":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"kubernetes.io/arch","operator":"In","values":[${values.join()}]}]}]}},"podAffinity":{}}`,
    ),
)

function podWith(containers: JsonText): JsonText {
  return objectOf(
    {
      apiVersion: fc.constant('"v1"'),
      kind: fc.constant('"Pod"'),
      metadata: objectOf(
        { name: quoted(name) },
        {
          annotations: wild(maybeNull(annotations)),
          labels: wild(maybeNull(labels)),
          ownerReferences: wild(maybeNull(owners)),
          generation: json,
        },
      ),
      spec: objectOf(
        { containers: wild(containers) },
        {
          initContainers: wild(maybeNull(listOf(wild(container), 2))),
          ephemeralContainers: wild(listOf(wild(container), 2)),
          volumes: wild(listOf(wild(volume), 2)),
          imagePullSecrets: wild(maybeNull(secrets)),
          serviceAccountName: json,
          nodeSelector: wild(nodeSelector),
          affinity: wild(affinity),
        },
      ),
    },
    { status: json },
  )
}

/** Pods that an API server may send, some with a wrong type in some place. */
export const pod: JsonText = podWith(listOf(wild(container), 4))

/** Pods with an image that a rule denies, among others. */
export const podToDeny: JsonText = fc
  .tuple(
    fc.array(wild(container), { maxLength: 3 }),
    annotations,
    fc.constantFrom('containers', 'initContainers'),
  )
  .map(
    ([others, notes, list]) =>
      `{"metadata":{"annotations":${notes}},"spec":{"${list}":[${[...others, `{"name":"a","image":"${deniedImage}"}`].join(',')}]}}`,
  )

const operations = fc.oneof(
  { arbitrary: fc.constantFrom('CREATE', 'UPDATE'), weight: 8 },
  fc.constantFrom('DELETE', 'CONNECT', 'create', ''),
)
const resource = '{"group":"","version":"v1","resource":"pods"}'

/** Reviews as an API server writes them, around a pod of a tenant. */
export const review: JsonText = fc
  .tuple(
    pod,
    fc.constantFrom('"CREATE"', '"CREATE"', '"UPDATE"'),
    fc.option(pod, { freq: 1, nil: null }),
    fc.constantFrom('', '', 'ephemeralcontainers'),
  )
  .map(([object, operation, old, subResource]) =>
    reviewText(object, {
      operation,
      ...(subResource === '' ? {} : { subResource: JSON.stringify(subResource) }),
      ...(old === null ? {} : { oldObject: old }),
    }),
  )

const fewImages = quoted(
  fc.constantFrom(
    'nginx',
    'elsewhere.example/app:1',
    'ghcr.io/team/app:1',
    'quay.io/team/app:1',
    'mirror.example/docker.io/library/nginx:latest',
    '\\',
    'auto',
  ),
)
const record = fc
  .tuple(fc.constantFrom('a', 'b'), fewImages, fewImages)
  .map(
    ([site, from, to]) =>
      `{"site":"containers/${site}","from":${from},"to":${to},"row":null,"why":""}`,
  )
const podWithRecords = fc
  .tuple(listOf(record, 4), fewImages, fewImages)
  .map(
    ([records, one, other]) =>
      `{"metadata":{"annotations":{"berth.dev/images":${JSON.stringify(records)}}},` +
      `"spec":{"containers":[{"name":"a","image":${one}},{"name":"b","image":${other}}]}}`,
  )

/** Few images and many records of them, so that records overlap, contradict each other and form circles. */
export const reviewWithRecords: JsonText = fc
  .tuple(
    podWithRecords,
    fc.option(podWithRecords, { nil: 'null' }),
    fc.constantFrom('CREATE', 'UPDATE'),
  )
  .map(([object, oldObject, operation]) =>
    reviewText(object, { operation: JSON.stringify(operation), oldObject }),
  )

/** Reviews in which any part may be missing, of another type, or extra. */
export const wildReview: JsonText = wild(
  objectOf({
    apiVersion: wild(fc.constant('"admission.k8s.io/v1"')),
    kind: wild(fc.constant('"AdmissionReview"')),
    request: wild(
      objectOf(
        {
          uid: wild(quoted(fc.oneof({ arbitrary: fc.uuid(), weight: 5 }, hostile))),
          resource: wild(fc.constant(resource)),
          operation: wild(quoted(operations)),
          object: wild(pod),
          namespace: wild(quoted(fc.oneof(fc.constant('default'), hostile))),
        },
        {
          oldObject: pod,
          dryRun: json,
          subResource: wild(
            quoted(fc.constantFrom('', 'ephemeralcontainers', 'status', 'binding', 'exec')),
          ),
          userInfo: json,
        },
      ),
    ),
  }),
)

/** Returns the text of a review. The values of `more`, members of its `request`, are JSON text too. */
export function reviewText(object: string, more: Readonly<Record<string, string>> = {}): string {
  const members = Object.entries({
    uid: '"u1"',
    resource,
    namespace: '"default"',
    operation: '"CREATE"',
    object,
    ...more,
  })
  const request = braced(members.map(([key, value]) => [JSON.stringify(key), value] as const))
  return `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":${request}}`
}
