import { describe, expect, it } from 'vitest'
import { diagnoseCluster } from '../../../src/diagnose/evidence/diagnose-cluster.ts'
import { type PullFinding, findings } from '../../../src/diagnose/findings.ts'
import type { KubeApi } from '../../../src/kube/api-client.ts'
import { KubeError } from '../../../src/kube/error.ts'
import type { KubeObject, ResourceRef } from '../../../src/kube/object.ts'

/** An API server of a few objects; a secret called `forbidden` may not be read. */
function clusterOf(objects: readonly (KubeObject & { resource: string })[]): {
  api: KubeApi
  asked: string[]
} {
  const asked: string[] = []
  const api = {
    list: async function* ({ resource, namespace }: ResourceRef) {
      asked.push(resource)
      yield* objects.filter(
        (each) =>
          each.resource === resource &&
          (namespace === undefined || each.metadata.namespace === namespace),
      )
      return { resourceVersion: '1' }
    },
    getRaw: () => Promise.reject(new KubeError(404, 'NotFound', 'no such group')),
    get: ({ resource, namespace, name }: ResourceRef) => {
      asked.push(`${resource}/${name}`)
      if (name === 'forbidden') return Promise.reject(new KubeError(403, 'Forbidden', 'no'))
      return Promise.resolve(
        objects.find(
          (each) =>
            each.resource === resource &&
            each.metadata.name === name &&
            each.metadata.namespace === namespace,
        ) ?? null,
      )
    },
  } as unknown as KubeApi
  return { api, asked }
}

const denied =
  'failed to pull and unpack image "docker.io/acme/app:1": failed to resolve reference "docker.io/acme/app:1": pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed'

interface PodFacts {
  readonly node?: string
  readonly name?: string
  readonly image?: string
  readonly reason?: string
  readonly message?: string
  readonly secrets?: readonly string[]
}

function pod({
  name = 'web-0',
  image = 'acme/app:1',
  reason = 'ErrImagePull',
  message = denied,
  secrets = [],
  node,
}: PodFacts) {
  return {
    resource: 'pods',
    metadata: { name, namespace: 'team', uid: `uid-${name}` },
    spec: {
      containers: [{ name: 'main', image }],
      imagePullSecrets: secrets.map((secret) => ({ name: secret })),
      serviceAccountName: 'runner',
      ...(node === undefined ? {} : { nodeName: node }),
    },
    status: {
      containerStatuses: [{ name: 'main', image, state: { waiting: { reason, message } } }],
    },
  }
}

function secret(name: string, auths: object, type = 'kubernetes.io/dockerconfigjson') {
  const data = { '.dockerconfigjson': Buffer.from(JSON.stringify({ auths })).toString('base64') }
  return { resource: 'secrets', metadata: { name, namespace: 'team' }, type, data }
}

const auth = Buffer.from('puller:CANARY').toString('base64')

async function diagnose(
  objects: Parameters<typeof clusterOf>[0],
): Promise<{ found: PullFinding[]; asked: string[] }> {
  const { api, asked } = clusterOf(objects)
  const judged = await diagnoseCluster(api, { namespace: 'team', includes: () => true })
  const found = findings(judged)
  expect(JSON.stringify(found)).not.toContain('CANARY')
  return { found, asked }
}

async function only(objects: Parameters<typeof clusterOf>[0]): Promise<PullFinding> {
  const { found } = await diagnose(objects)
  expect(found).toHaveLength(1)
  return found[0] as PullFinding
}

describe('a registry that gives nothing to strangers', () => {
  it('a key that the kubelet never uses for Docker Hub is the cause, and the right key is in the fix', async () => {
    const found = await only([
      pod({ secrets: ['hub'] }),
      secret('hub', { 'registry-1.docker.io': { auth } }),
    ])

    expect(found).toMatchObject({ rule: 'D07', certainty: 'likely', secrets: ['hub'] })
    expect(found.commands[0]).toContain('--docker-server=https://index.docker.io/v1/')
  })

  it('without a secret for it the message stays ambiguous, and the node is named as what was not seen', async () => {
    const found = await only([
      pod({ secrets: ['other'] }),
      secret('other', { 'ghcr.io': { auth } }),
    ])

    expect(found).toMatchObject({ rule: 'D28', certainty: 'ambiguous' })
    expect(found.missing.join()).toContain("node's own credentials")
    expect(found.evidence).toContainEqual({
      from: 'secrets',
      says: 'no pull secret of the pod is for https://index.docker.io/v1/',
    })
  })

  it('a secret that is not there', async () => {
    const found = await only([pod({ secrets: ['gone'] })])

    expect(found).toMatchObject({ rule: 'D05', secrets: ['gone'] })
    expect(found.commands[0]).toContain('create secret docker-registry gone -n team')
  })

  it('a secret of a type that the kubelet does not read', async () => {
    const found = await only([
      pod({ secrets: ['opaque'] }),
      secret('opaque', { 'index.docker.io': { auth } }, 'Opaque'),
    ])

    expect(found).toMatchObject({ rule: 'D06', secrets: ['opaque'] })
    expect(found.evidence).toContainEqual({
      from: 'secrets',
      says: 'secret opaque is not used: wrong-type (Opaque)',
    })
  })

  it('an entry without user and password', async () => {
    const found = await only([
      pod({ secrets: ['desktop'] }),
      secret('desktop', { 'https://index.docker.io/v1/': {} }),
    ])

    expect(found).toMatchObject({ rule: 'D09', secrets: ['desktop'] })
  })

  it('a service account that has had the secret only since the pod was made', async () => {
    const found = await only([
      pod({}),
      {
        resource: 'serviceaccounts',
        metadata: { name: 'runner', namespace: 'team' },
        imagePullSecrets: [{ name: 'later' }],
      } as KubeObject & { resource: string },
    ])

    expect(found).toMatchObject({ rule: 'D08', secrets: ['later'] })
  })

  it('a role for containers is not one for pulls', async () => {
    const found = await only([
      pod({}),
      {
        resource: 'serviceaccounts',
        metadata: {
          name: 'runner',
          namespace: 'team',
          annotations: { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::111122223333:role/app' },
        },
      },
    ])

    expect(found.rule).toBe('D28')
    expect(found.evidence.map(({ says }) => says).join()).toContain(
      'eks.amazonaws.com/role-arn is for running containers',
    )
  })

  it('a secret that may not be read is said to be missing from the evidence', async () => {
    const found = await only([pod({ secrets: ['forbidden'] })])

    expect(found.missing.join()).toContain('you may not read a pull secret')
  })
})

describe('a registry that refuses a credential', () => {
  const refused = (image: string) =>
    `failed to resolve reference "${image}": failed to authorize: failed to fetch oauth token: unexpected status: 401 Unauthorized`

  it('the secret and its key are named', async () => {
    const image = 'r.example:5000/app:1'
    const found = await only([
      pod({ image, message: refused(image), secrets: ['stale'] }),
      secret('stale', { 'r.example:5000': { auth } }),
    ])

    expect(found).toMatchObject({ rule: 'D25', secrets: ['stale'], registry: 'r.example:5000' })
    expect(found.evidence).toContainEqual({
      from: 'secrets',
      says: 'secret stale, key r.example:5000, is tried',
    })
    expect(found.commands[0]).toContain('kubectl apply -f -')
  })

  it('a secret with other keys is not written anew', async () => {
    const image = 'r.example:5000/app:1'
    const found = await only([
      pod({ image, message: refused(image), secrets: ['stale'] }),
      secret('stale', { 'r.example:5000': { auth }, 'ghcr.io': { auth } }),
    ])

    expect(found.commands).toEqual([])
  })
})

describe('what the state itself proves', () => {
  it('an undecodable entry of any pull secret fails all images of the pod', async () => {
    const found = await only([
      pod({
        message: 'unable to parse auth field, must be formatted as base64(username:password)',
        secrets: ['broken'],
      }),
      secret('broken', { 'ghcr.io': { auth: 'bm90LWEtcGFpcg==' } }),
    ])

    expect(found).toMatchObject({ rule: 'D04', certainty: 'proved', secrets: ['broken'] })
    expect(found.evidence.map(({ says }) => says).join()).toContain('secret broken, key ghcr.io')
  })

  it('an invalid name', async () => {
    const found = await only([
      pod({ image: 'acme/App', reason: 'InvalidImageName', message: 'invalid reference format' }),
    ])

    expect(found).toMatchObject({ rule: 'D01', certainty: 'proved', registry: null })
  })
})

describe('what the node says of itself', () => {
  const node = (status: object) =>
    ({ resource: 'nodes', metadata: { name: 'n1' }, status }) as KubeObject & { resource: string }

  it('proves that its disk is full', async () => {
    const found = await only([
      pod({ node: 'n1', message: 'write /var/lib/containerd/x: no space left on device' }),
      node({ conditions: [{ type: 'DiskPressure', status: 'True', message: 'full' }] }),
    ])

    expect(found).toMatchObject({ rule: 'D60', certainty: 'proved' })
    expect(found.evidence).toContainEqual({ from: 'node', says: 'n1 has DiskPressure: full' })
    expect(found.failures[0]?.node).toBe('n1')
  })

  it.each([
    [[], 'n1 does not report the image'],
    [[{ names: ['acme/app:1'] }], 'it was pulled with a credential that this pod does not have'],
  ])('proves why an image is not pulled under the policy Never: %o', async (images, says) => {
    const found = await only([
      pod({
        node: 'n1',
        reason: 'ErrImageNeverPull',
        message: 'Container image "acme/app:1" is not present with pull policy of Never',
      }),
      node({ images }),
    ])

    expect(found).toMatchObject({ rule: 'D02', certainty: 'proved' })
    expect(found.evidence.map((each) => each.says).join()).toContain(says)
  })
})

it('a token that has ended by the annotation of its secret is proved to be the cause', async () => {
  const host = '818140567777.dkr.ecr.us-east-1.amazonaws.com'
  const ended = secret('ecr', { [host]: { auth } })
  const annotations = { 'berth.dev/expires-at': '2026-01-01T00:00:00Z' }
  const found = await only([
    pod({
      image: `${host}/app:1`,
      message: `failed to resolve reference "${host}/app:1": unexpected status from HEAD request: 401 Unauthorized`,
      secrets: ['ecr'],
    }),
    { ...ended, metadata: { ...ended.metadata, annotations } },
  ])

  expect(found).toMatchObject({ rule: 'D21', certainty: 'proved', secrets: ['ecr'] })
})

describe('where the message stands', () => {
  const event = (name: string, message: string, reason = 'Failed') => ({
    resource: 'events',
    metadata: { name: 'e', namespace: 'team' },
    involvedObject: { uid: `uid-${name}` },
    reason,
    message,
    lastTimestamp: '2026-01-01T00:00:00Z',
  })

  it('an old kubelet tells the cause in an event alone', async () => {
    const found = await only([
      pod({ reason: 'ImagePullBackOff', message: 'Back-off pulling image "acme/app:1"' }),
      event(
        'web-0',
        'Failed to pull image "acme/app:1": no match for platform in manifest: not found',
      ),
    ])

    expect(found.rule).toBe('D35')
  })

  it("the kubelet's own limit does not hide what an earlier pull met", async () => {
    const limited = pod({ message: 'pull QPS exceeded' })
    const earlier = event(
      'web-0',
      'Failed to pull image "acme/app:1": no match for platform in manifest',
    )

    expect((await only([limited, earlier])).rule).toBe('D35')
    expect((await only([limited])).rule).toBe('D14')
  })

  it('a sandbox that cannot be made is in an event alone', async () => {
    const creating = pod({ reason: 'ContainerCreating', message: '' })
    const found = await only([
      creating,
      event(
        'web-0',
        'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox image "registry.k8s.io/pause:3.9": failed to pull image: i/o timeout',
        'FailedCreatePodSandBox',
      ),
    ])

    expect(found.rule).toBe('D13')
  })

  it('a pod that runs is no finding', async () => {
    const running = pod({ reason: 'ContainerCreating', message: '' })

    expect((await diagnose([running])).found).toEqual([])
  })
})

describe('many pods', () => {
  const many = Array.from({ length: 1_000 }, (_, index) =>
    pod({ name: `web-${String(index).padStart(4, '0')}`, secrets: ['hub'] }),
  )
  const hub = secret('hub', { 'registry-1.docker.io': { auth } })

  it('with one cause are one finding, and each secret is read once', async () => {
    const { found, asked } = await diagnose([...many, hub])

    expect(found).toHaveLength(1)
    expect(found[0]?.failures).toHaveLength(1_000)
    expect(asked.toSorted()).toEqual(['events', 'pods', 'secrets/hub', 'serviceaccounts/runner'])
  })

  it('in another order give the same bytes', async () => {
    const some = many.slice(0, 100)
    const one = await diagnose([...some, hub])
    const other = await diagnose([hub, ...some.toReversed()])

    expect(JSON.stringify(other.found)).toBe(JSON.stringify(one.found))
  })
})

describe('a 401 that containerd words like a token that was not taken', () => {
  const image = 'r.example:5000/app:1'
  const message =
    'pulling from host r.example:5000 failed with status code [manifests 1]: 401 Unauthorized'

  it('with a credential that was tried: it is refused', async () => {
    const found = await only([
      pod({ image, message, secrets: ['stale'] }),
      secret('stale', { 'r.example:5000': { auth } }),
    ])

    expect(found).toMatchObject({ rule: 'D25', certainty: 'likely', secrets: ['stale'] })
  })

  it('without one: none was sent', async () => {
    expect(await only([pod({ image, message })])).toMatchObject({
      rule: 'D22',
      certainty: 'likely',
    })
  })

  it('without one, because the secret has another port', async () => {
    const found = await only([
      pod({ image, message, secrets: ['hosted'] }),
      secret('hosted', { 'r.example': { auth } }),
    ])

    expect(found).toMatchObject({ rule: 'D07', certainty: 'proved', secrets: ['hosted'] })
    expect(found.commands[0]).toContain(
      'create secret docker-registry r-example-5000-pull -n team --docker-server=r.example:5000',
    )
  })
})

it('the kubelet puts what fails before a pull into the reason itself', async () => {
  const found = await only([
    pod({
      reason: 'unable to parse auth field, must be formatted as base64(username:password)',
      message: '',
      secrets: ['broken'],
    }),
    secret('broken', { 'ghcr.io': { auth: 'bm90LWEtcGFpcg==' } }),
  ])

  expect(found).toMatchObject({ rule: 'D04', certainty: 'proved' })
})
