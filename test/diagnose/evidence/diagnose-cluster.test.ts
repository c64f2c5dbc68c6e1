import { describe, expect, it } from 'vitest'
import { diagnoseCluster } from '../../../src/diagnose/evidence/diagnose-cluster.ts'
import { type PullFinding, findings } from '../../../src/diagnose/findings.ts'
import type { KubeApi } from '../../../src/kube/api-client.ts'
import { KubeError } from '../../../src/kube/error.ts'
import type { KubeObject, ResourceRef } from '../../../src/kube/object.ts'

/** A fake API server with a few objects; a secret called `forbidden` cannot be read. */
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
  const diagnosed = await diagnoseCluster(api, { namespace: 'team', includes: () => true })
  const found = findings(diagnosed)
  expect(JSON.stringify(found)).not.toContain('CANARY')
  return { found, asked }
}

async function onlyFinding(objects: Parameters<typeof clusterOf>[0]): Promise<PullFinding> {
  const { found } = await diagnose(objects)
  expect(found).toHaveLength(1)
  return found[0] as PullFinding
}

describe('a registry that refuses anonymous requests', () => {
  it('reports a key that the kubelet never uses for Docker Hub, and the right key in the fix', async () => {
    const found = await onlyFinding([
      pod({ secrets: ['hub'] }),
      secret('hub', { 'registry-1.docker.io': { auth } }),
    ])

    expect(found).toMatchObject({ rule: 'D07', certainty: 'likely', secrets: ['hub'] })
    expect(found.commands).toEqual([
      `kubectl get secret hub -n team -o json | jq '.data[".dockerconfigjson"] |= (@base64d | fromjson | .auths["https://index.docker.io/v1/"] = .auths["registry-1.docker.io"] | tojson | @base64)' | kubectl replace -f -`,
    ])
  })

  it('stays ambiguous without a secret for it, and lists the node as not seen', async () => {
    const found = await onlyFinding([
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

  it('reports a secret that does not exist', async () => {
    const found = await onlyFinding([pod({ secrets: ['gone'] })])

    expect(found).toMatchObject({ rule: 'D05', secrets: ['gone'] })
    expect(found.commands[0]).toContain('create secret docker-registry gone -n team')
  })

  it('reports a secret of a type that the kubelet does not read', async () => {
    const found = await onlyFinding([
      pod({ secrets: ['opaque'] }),
      secret('opaque', { 'index.docker.io': { auth } }, 'Opaque'),
    ])

    expect(found).toMatchObject({ rule: 'D06', secrets: ['opaque'] })
    expect(found.evidence).toContainEqual({
      from: 'secrets',
      says: 'secret opaque is not used: wrong-type (Opaque)',
    })
  })

  it('reports an entry without user and password', async () => {
    const found = await onlyFinding([
      pod({ secrets: ['desktop'] }),
      secret('desktop', { 'https://index.docker.io/v1/': {} }),
    ])

    expect(found).toMatchObject({ rule: 'D09', secrets: ['desktop'] })
  })

  it('reports a service account that got the secret after the pod was created', async () => {
    const found = await onlyFinding([
      pod({}),
      {
        resource: 'serviceaccounts',
        metadata: { name: 'runner', namespace: 'team' },
        imagePullSecrets: [{ name: 'later' }],
      } as KubeObject & { resource: string },
    ])

    expect(found).toMatchObject({ rule: 'D08', secrets: ['later'] })
  })

  it('does not report a role for containers as the cause', async () => {
    const found = await onlyFinding([
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

  it('lists a secret that cannot be read as missing evidence', async () => {
    const found = await onlyFinding([pod({ secrets: ['forbidden'] })])

    expect(found.missing.join()).toContain('you may not read a pull secret')
  })
})

describe('a registry that refuses a credential', () => {
  const refused = (image: string) =>
    `failed to resolve reference "${image}": failed to authorize: failed to fetch oauth token: unexpected status: 401 Unauthorized`

  it('reports the secret and its key', async () => {
    const image = 'r.example:5000/app:1'
    const found = await onlyFinding([
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

  it('keeps the other keys of the secret in the command', async () => {
    const image = 'r.example:5000/app:1'
    const found = await onlyFinding([
      pod({ image, message: refused(image), secrets: ['stale'] }),
      secret('stale', { 'r.example:5000': { auth }, 'ghcr.io': { auth } }),
    ])

    expect(found.commands).toEqual([expect.stringContaining('.auths["r.example:5000"] = {auth: ')])
  })
})

describe('causes that objects prove', () => {
  it('include an undecodable entry of any pull secret of the pod', async () => {
    const found = await onlyFinding([
      pod({
        message: 'unable to parse auth field, must be formatted as base64(username:password)',
        secrets: ['broken'],
      }),
      secret('broken', { 'ghcr.io': { auth: 'bm90LWEtcGFpcg==' } }),
    ])

    expect(found).toMatchObject({ rule: 'D04', certainty: 'proved', secrets: ['broken'] })
    expect(found.evidence.map(({ says }) => says).join()).toContain('secret broken, key ghcr.io')
  })

  it('include an invalid image name', async () => {
    const found = await onlyFinding([
      pod({ image: 'acme/App', reason: 'InvalidImageName', message: 'invalid reference format' }),
    ])

    expect(found).toMatchObject({ rule: 'D01', certainty: 'proved', registry: null })
  })
})

describe('the Node object', () => {
  const node = (status: object) =>
    ({ resource: 'nodes', metadata: { name: 'n1' }, status }) as KubeObject & { resource: string }

  it('proves a full disk', async () => {
    const found = await onlyFinding([
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
  ])('proves why an image is not pulled with the policy Never: %o', async (images, says) => {
    const found = await onlyFinding([
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

it('a token that has expired by its annotation is proved to be the cause', async () => {
  const host = '818140567777.dkr.ecr.us-east-1.amazonaws.com'
  const ended = secret('ecr', { [host]: { auth } })
  const annotations = { 'berth.dev/expires-at': '2026-01-01T00:00:00Z' }
  const found = await onlyFinding([
    pod({
      image: `${host}/app:1`,
      message: `failed to resolve reference "${host}/app:1": unexpected status from HEAD request: 401 Unauthorized`,
      secrets: ['ecr'],
    }),
    { ...ended, metadata: { ...ended.metadata, annotations } },
  ])

  expect(found).toMatchObject({ rule: 'D21', certainty: 'proved', secrets: ['ecr'] })
})

describe('an ECR token', () => {
  const host = '818140567777.dkr.ecr.us-east-1.amazonaws.com'
  const message = `unexpected status from HEAD request to https://${host}/v2/app/manifests/1: 403 Forbidden`
  const findWith = (password: string) =>
    onlyFinding([
      pod({ image: `${host}/app:1`, message, secrets: ['ecr'] }),
      secret('ecr', { [host]: { username: 'AWS', password } }),
    ])
  const tokenUntil = (expiration: unknown) =>
    Buffer.from(JSON.stringify({ payload: 'CANARY', expiration })).toString('base64')

  it('is proved to have expired by its own expiration', async () => {
    const found = await findWith(tokenUntil(1_700_000_000))

    expect(found).toMatchObject({ rule: 'D21', certainty: 'proved', secrets: ['ecr'] })
    expect(found.evidence.map(({ says }) => says)).toContain(
      'the token in secret ecr expired at 2023-11-14T22:13:20.000Z (the token itself)',
    )
    expect(found.commands[0]).toContain('aws ecr get-login-password --region us-east-1')
  })

  it('that is valid leaves only the policies', async () => {
    expect(await findWith(tokenUntil(4_000_000_000))).toMatchObject({
      rule: 'D23',
      certainty: 'likely',
    })
  })

  it.each([['CANARY'], [tokenUntil('soon')], [tokenUntil(1e300)], ['x'.repeat(100_000)]])(
    'that cannot be read leaves both',
    async (password) => {
      const found = await findWith(password)

      expect(found).toMatchObject({ rule: 'D77', certainty: 'ambiguous' })
      expect(found.fix).toMatch(/^first check whether the token/)
    },
  )
})

describe('a container that cannot be created', () => {
  it('is reported if its image is lost', async () => {
    const found = await onlyFinding([
      pod({
        reason: 'CreateContainerError',
        message: 'failed to get image from containerd "sha256:0123": image "docker.io/acme/app:1": not found', // prettier-ignore
      }),
    ])

    expect(found).toMatchObject({ rule: 'D68', registry: 'docker.io' })
  })

  it('is not reported for another reason', async () => {
    const { found } = await diagnose([
      pod({
        reason: 'CreateContainerError',
        message: 'failed to generate container spec: 403 Forbidden',
      }),
    ])

    expect(found).toEqual([])
  })
})

it('an image that the node has does not help a pod without its credential', async () => {
  const nodeWith = (kubeletVersion: string) =>
    ({
      resource: 'nodes',
      metadata: { name: 'n1' },
      status: { nodeInfo: { kubeletVersion }, images: [{ names: ['docker.io/acme/app:1'] }] },
    }) as KubeObject & { resource: string }
  const saysOf = async (version: string) => {
    const found = await onlyFinding([pod({ node: 'n1' }), nodeWith(version)])
    return found.evidence.filter(({ from }) => from === 'node').map(({ says }) => says)
  }

  expect(await saysOf('v1.35.1')).toEqual([
    expect.stringContaining('n1 has the image, but kubelet v1.35.1 lets a pod use it only with'),
  ])
  expect(await saysOf('v1.34.9')).toEqual([])
})

describe('the message', () => {
  const event = (name: string, message: string, reason = 'Failed') => ({
    resource: 'events',
    metadata: { name: 'e', namespace: 'team' },
    involvedObject: { uid: `uid-${name}` },
    reason,
    message,
    lastTimestamp: '2026-01-01T00:00:00Z',
  })

  it('comes from an event if the kubelet is old', async () => {
    const found = await onlyFinding([
      pod({ reason: 'ImagePullBackOff', message: 'Back-off pulling image "acme/app:1"' }),
      event(
        'web-0',
        'Failed to pull image "acme/app:1": no match for platform in manifest: not found',
      ),
    ])

    expect(found.rule).toBe('D35')
  })

  it("comes from an earlier event if the status has the kubelet's rate limit", async () => {
    const limited = pod({ message: 'pull QPS exceeded' })
    const earlier = event(
      'web-0',
      'Failed to pull image "acme/app:1": no match for platform in manifest',
    )

    expect((await onlyFinding([limited, earlier])).rule).toBe('D35')
    expect((await onlyFinding([limited])).rule).toBe('D14')
  })

  it('comes from an event for the image of the pod sandbox', async () => {
    const creating = pod({ reason: 'ContainerCreating', message: '' })
    const found = await onlyFinding([
      creating,
      event(
        'web-0',
        'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox image "registry.k8s.io/pause:3.9": failed to pull image: i/o timeout',
        'FailedCreatePodSandBox',
      ),
    ])

    expect(found.rule).toBe('D13')
  })

  it('does not exist for a running pod', async () => {
    const running = pod({ reason: 'ContainerCreating', message: '' })

    expect((await diagnose([running])).found).toEqual([])
  })
})

describe('many pods', () => {
  const many = Array.from({ length: 1_000 }, (_, index) =>
    pod({ name: `web-${String(index).padStart(4, '0')}`, secrets: ['hub'] }),
  )
  const hub = secret('hub', { 'registry-1.docker.io': { auth } })

  it('with one cause are one finding, and each object is read once', async () => {
    const { found, asked } = await diagnose([...many, hub])

    expect(found).toHaveLength(1)
    expect(found[0]?.failures).toHaveLength(1_000)
    expect(asked.toSorted()).toEqual(['events', 'pods', 'secrets/hub', 'serviceaccounts/runner'])
  })

  it('give the same bytes in another order', async () => {
    const some = many.slice(0, 100)
    const one = await diagnose([...some, hub])
    const other = await diagnose([hub, ...some.toReversed()])

    expect(JSON.stringify(other.found)).toBe(JSON.stringify(one.found))
  })
})

describe('a 401 of containerd that reads like a rejected token', () => {
  const image = 'r.example:5000/app:1'
  const message =
    'pulling from host r.example:5000 failed with status code [manifests 1]: 401 Unauthorized'

  it('is a refused credential if one was sent', async () => {
    const found = await onlyFinding([
      pod({ image, message, secrets: ['stale'] }),
      secret('stale', { 'r.example:5000': { auth } }),
    ])

    expect(found).toMatchObject({ rule: 'D25', certainty: 'likely', secrets: ['stale'] })
  })

  it('is a missing credential if none was sent', async () => {
    expect(await onlyFinding([pod({ image, message })])).toMatchObject({
      rule: 'D22',
      certainty: 'likely',
    })
  })

  it('is a wrong key if the secret has another port', async () => {
    const found = await onlyFinding([
      pod({ image, message, secrets: ['hosted'] }),
      secret('hosted', { 'r.example': { auth } }),
    ])

    expect(found).toMatchObject({ rule: 'D07', certainty: 'proved', secrets: ['hosted'] })
    expect(found.commands).toEqual([
      expect.stringContaining('.auths["r.example:5000"] = .auths["r.example"]'),
    ])
  })
})

describe('a secret that was changed after the pod was created', () => {
  const now = Date.parse('2026-01-01T00:10:00Z')
  const image = 'r.example:5000/app:1'
  const message =
    'pulling from host r.example:5000 failed with status code [manifests 1]: 401 Unauthorized'
  const findWith = async (changedAt: string, createdAt = '2026-01-01T00:00:00Z') => {
    const web = pod({ image, message, secrets: ['mended'] })
    const mended = secret('mended', { 'r.example:5000': { auth } })
    const { api } = clusterOf([
      { ...web, metadata: { ...web.metadata, creationTimestamp: createdAt } },
      {
        ...mended,
        metadata: { ...mended.metadata, managedFields: [{ time: changedAt }] } as never,
      },
    ])
    const scope = { namespace: 'team', includes: () => true }
    return findings(await diagnoseCluster(api, scope, { now: () => now }))[0]
  }

  it('can be newer than the message', async () => {
    const found = await findWith('2026-01-01T00:09:30Z')

    expect(found).toMatchObject({ rule: 'D75', certainty: 'ambiguous', secrets: ['mended'] })
    expect(found?.commands).toEqual([])
  })

  it('is at fault if the kubelet has tried it since', async () => {
    expect(await findWith('2026-01-01T00:04:30Z')).toMatchObject({ rule: 'D25' })
    expect(await findWith('2026-01-01T00:09:30Z', '2026-01-01T00:09:30Z')).toMatchObject({
      rule: 'D25',
    })
  })
})

it('an error before the pull is read from the reason, where the kubelet puts it', async () => {
  const found = await onlyFinding([
    pod({
      reason: 'unable to parse auth field, must be formatted as base64(username:password)',
      message: '',
      secrets: ['broken'],
    }),
    secret('broken', { 'ghcr.io': { auth: 'bm90LWEtcGFpcg==' } }),
  ])

  expect(found).toMatchObject({ rule: 'D04', certainty: 'proved' })
})
