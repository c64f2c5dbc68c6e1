import { beforeEach, describe, expect, it } from 'vitest'
import { KubeError } from '../../src/kube/error.ts'
import { planUninstall, type UninstallStep } from '../../src/uninstall/uninstall-plan.ts'
import { uninstall } from '../../src/uninstall/uninstall.ts'
import { type FakeKube, startFakeKube } from '../support/fake-kube.ts'

const labels = { 'app.kubernetes.io/name': 'berth' }
const managed = { 'app.kubernetes.io/managed-by': 'berth' }
let kube: FakeKube

function put(resource: string, name: string, metadata: object = {}, rest: object = {}): void {
  kube.put(resource, { metadata: { name, ...metadata }, ...rest })
}

/** Everything that an installation has, and similar objects of others. */
beforeEach(() => {
  kube = startFakeKube()
  const own = { namespace: 'berth-system', labels }
  put('namespaces', 'berth-system', { labels })
  put('mutatingwebhookconfigurations', 'berth', { labels })
  put('deployments', 'berth-webhook', own)
  put('deployments', 'berth-controller', own)
  put('clusterroles', 'berth-pull-secrets', { labels })
  put('clusterrolebindings', 'berth-pull-secrets', { labels })
  put('validatingadmissionpolicies', 'berth-pull-secrets', { labels })
  put('secrets', 'berth-own-certificate', { namespace: 'berth-system' })
  put('secrets', 'ecr-pull', { namespace: 'berth-system', labels: managed })
  put('leases', 'berth-controller', { namespace: 'berth-system' })
  put('secrets', 'pull', { namespace: 'shop', labels: { ...managed, 'berth.dev/copied': 'true' } })
  put(
    'serviceaccounts',
    'default',
    { namespace: 'shop', annotations: { 'berth.dev/linked-pull-secrets': 'pull', team: 'a' } },
    { imagePullSecrets: [{ name: 'theirs' }, { name: 'pull' }] },
  )
  put('clusterroles', 'harbour-master', { labels })
  put('secrets', 'theirs', { namespace: 'shop' })
  put('serviceaccounts', 'plain', { namespace: 'shop' }, { imagePullSecrets: [{ name: 'pull' }] })
})

const lineOf = ({ action, ref }: UninstallStep) =>
  [action, ref.resource, ref.namespace, ref.name].filter((part) => part !== undefined).join(' ')

const plan = () => planUninstall(kube.api, 'berth-system')

async function run(): Promise<{ left: string[]; problems: string[] }> {
  const problems: string[] = []
  const left = await uninstall(kube.api, await plan(), {
    namespace: 'berth-system',
    signal: new AbortController().signal,
    onStep: (step, problem) => problem !== null && problems.push(`${lineOf(step)}: ${problem}`),
    passGapMs: 1,
  })
  return { left: left.steps.map(lineOf), problems }
}

describe('the plan of an uninstall', () => {
  it('has the reports that the controller wrote, and no others with their name and label', async () => {
    const annotations = { 'berth.dev/content-hash': 'a' }
    put('reports', 'berth-images', { namespace: 'shop', labels, annotations })
    put('reports', 'berth-images', { namespace: 'blog', labels })

    const lines = (await plan()).steps.map(lineOf)
    expect(lines.filter((line) => line.includes('reports'))).toEqual([
      'delete reports shop berth-images',
    ])
  })

  it('ends admission and the processes first, takes their rights, and ends with the namespace', async () => {
    expect((await plan()).steps.map(lineOf)).toEqual([
      'delete mutatingwebhookconfigurations berth',
      'delete deployments berth-system berth-webhook',
      'delete deployments berth-system berth-controller',
      'delete clusterrolebindings berth-pull-secrets',
      'unlink serviceaccounts shop default',
      'delete secrets berth-system ecr-pull',
      'delete secrets shop pull',
      'delete secrets berth-system berth-own-certificate',
      'delete validatingadmissionpolicies berth-pull-secrets',
      'delete clusterroles berth-pull-secrets',
      'delete leases berth-system berth-controller',
      'delete namespaces berth-system',
    ])
    expect(kube.writes).toEqual([])
  })

  it('names the collections that it may not read', async () => {
    const api: typeof kube.api = {
      ...kube.api,
      list: (ref, ...rest) => {
        if (ref.resource === 'clusterroles') throw new KubeError(403, 'Forbidden', 'no right')
        return kube.api.list(ref, ...rest)
      },
    }
    const { steps, unread } = await planUninstall(api, 'berth-system')

    expect(unread).toEqual([{ resource: 'clusterroles', problem: 'no right' }])
    expect(steps.length).toBeGreaterThan(5)
  })
})

describe('an uninstall', () => {
  it('removes what the plan lists, and nothing of others', async () => {
    expect(await run()).toEqual({ left: [], problems: [] })
    expect(kube.get('serviceaccounts', 'default', 'shop')).toMatchObject({
      metadata: { annotations: { team: 'a' } },
      imagePullSecrets: [{ name: 'theirs' }],
    })
    expect(kube.get('serviceaccounts', 'plain', 'shop')).toMatchObject({
      imagePullSecrets: [{ name: 'pull' }],
    })
    expect(kube.get('secrets', 'theirs', 'shop')).not.toBeNull()
    expect(kube.get('clusterroles', 'harbour-master')).not.toBeNull()
  })

  it('goes on after a step that fails, and tries it again', async () => {
    kube.refuse('secrets shop/pull', 500)

    expect(await run()).toEqual({
      left: [],
      problems: [expect.stringContaining('delete secrets shop pull: ')],
    })
    expect(kube.get('secrets', 'pull', 'shop')).toBeNull()
  })

  it('returns what it cannot remove', async () => {
    const error = new KubeError(403, 'Forbidden', 'no right')
    kube.refuseAlways(({ about }) => about.startsWith('serviceaccounts '), error)
    const { left, problems } = await run()

    expect(left).toEqual(['unlink serviceaccounts shop default'])
    expect(problems).not.toEqual([])
  })
})
