import { afterEach, describe, expect, it, vi } from 'vitest'
import { createImageFindings } from '../../src/controller/image-findings.ts'
import { createReportsLoop } from '../../src/controller/reports-loop.ts'
import { createPodWatch } from '../../src/controller/runtime/pod-watch.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import { createRefusals } from '../../src/kube/refusals.ts'
import type { ImageFinding } from '../../src/report/open-reports.ts'
import { startFakeKube } from '../support/fake-kube.ts'

const digest = `sha256:${'a'.repeat(64)}`

function pod(name: string, image: string, namespace = 'shop'): KubeObject {
  return {
    metadata: { name, namespace, uid: name },
    spec: { containers: [{ name: 'main', image }] },
    status: { phase: 'Running', containerStatuses: [{ name: 'main', image, imageID: digest }] },
  } as KubeObject
}

const failure: ImageFinding = {
  kind: 'pull-failure',
  rule: 'D37',
  namespace: 'shop',
  pod: 'web',
  image: 'm.example/web:1',
  message: 'cannot pull',
}

const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

function start(pods: readonly KubeObject[] = []) {
  const kube = startFakeKube()
  for (const each of pods) kube.put('pods', each)
  const findings = createImageFindings(['unpinned-image', 'pull-failure'])
  const lines: string[] = []
  const logTo = (level: string) => (_fields: object, text: string) =>
    void lines.push(`${level}: ${text}`)
  const stop = new AbortController()
  const loop = createReportsLoop(
    {
      api: kube.api,
      watch: createPodWatch(kube.api),
      findings,
      isPinned: (tag) => tag === 'latest',
      refusals: createRefusals()('reports'),
      log: { info: logTo('info'), warn: logTo('warn'), debug: logTo('debug') } as never,
    },
    { minIntervalMs: 1, maxIntervalMs: 20, writeGapMs: 0 },
  )
  const ended = loop.run(stop.signal).catch(() => undefined)
  stops.push(async () => {
    stop.abort()
    await ended
  })
  const report = (namespace = 'shop') =>
    kube.get('reports', 'berth-images', namespace) as
      (KubeObject & { readonly results: readonly { readonly policy: string }[] }) | null
  const policies = (namespace?: string) => report(namespace)?.results.map(({ policy }) => policy)
  return { kube, findings, lines, report, policies }
}

describe('the reports loop', () => {
  it('writes nothing before all loops have published their findings', async () => {
    const { kube, findings, policies } = start([pod('a', 'm.example/a:latest')])
    await vi.waitFor(() => expect(kube.watches).toHaveLength(2))
    expect(kube.writes).toEqual([])

    findings.publish('pull-failure', () => [failure])
    await vi.waitFor(() => expect(policies()).toEqual(['pull-failure', 'unpinned-image']))
  })

  it('reports images whose tag is pinned and that have no digest', async () => {
    const { findings, report } = start([
      pod('a', 'm.example/a'),
      pod('b', `m.example/b:latest@${digest}`),
      pod('c', 'm.example/c:1'),
    ])
    findings.publish('pull-failure', () => [])

    await vi.waitFor(() =>
      expect(report()?.results).toMatchObject([
        {
          policy: 'unpinned-image',
          message: 'm.example/a has no digest, so a restart may run another image',
          resources: [{ name: 'a' }],
        },
      ]),
    )
  })

  it('writes a report again when its findings change, and only then', async () => {
    const { kube, findings, policies } = start()
    findings.publish('pull-failure', () => [failure])
    await vi.waitFor(() => expect(policies()).toEqual(['pull-failure']))
    for (let time = 0; time < 5; time += 1) findings.publish('pull-failure', () => [failure])

    const other = { ...failure, namespace: 'blog' }
    findings.publish('pull-failure', () => [failure, other])
    await vi.waitFor(() => expect(policies('blog')).toEqual(['pull-failure']))
    expect(kube.writes.map(({ verb, about }) => `${verb} ${about}`)).toEqual([
      'create reports shop/berth-images',
      'create reports blog/berth-images',
    ])

    findings.publish('pull-failure', () => [failure, { ...other, rule: 'D05' }])
    await vi.waitFor(() => expect(kube.writes).toHaveLength(3))
    expect(kube.writes[2]).toMatchObject({ about: 'reports blog/berth-images' })
  })

  it('deletes the report with its last finding', async () => {
    const { findings, report, policies } = start()
    findings.publish('pull-failure', () => [failure])
    await vi.waitFor(() => expect(policies()).toEqual(['pull-failure']))

    findings.publish('pull-failure', () => [])
    await vi.waitFor(() => expect(report()).toBeNull())
  })

  it('leaves reports of others unchanged', async () => {
    const { kube, findings, policies } = start()
    const other = { metadata: { name: 'scan', namespace: 'shop', labels: {} } }
    const sameLabel = { metadata: { name: 'other', namespace: 'shop', labels: { 'app.kubernetes.io/name': 'berth' } } } // prettier-ignore
    for (const object of [other, sameLabel]) kube.put('reports', object)
    findings.publish('pull-failure', () => [failure])
    await vi.waitFor(() => expect(policies()).toEqual(['pull-failure']))
    findings.publish('pull-failure', () => [])
    await vi.waitFor(() => expect(policies()).toBeUndefined())

    expect(kube.get('reports', 'scan', 'shop')).not.toBeNull()
    expect(kube.get('reports', 'other', 'shop')).not.toBeNull()
  })

  it.each([
    ['its label', { 'app.kubernetes.io/name': 'berth' }],
    ['other labels', {}],
  ])(
    'leaves a report of another owner with its name and %s, and says so once',
    async (_, labels) => {
      const { kube, findings, lines, policies } = start()
      const foreign = { metadata: { name: 'berth-images', namespace: 'shop', labels } }
      kube.put('reports', foreign)
      findings.publish('pull-failure', () => [failure, { ...failure, namespace: 'blog' }])
      await vi.waitFor(() => expect(policies('blog')).toEqual(['pull-failure']))
      findings.publish('pull-failure', () => [{ ...failure, namespace: 'blog', rule: 'D05' }])
      await vi.waitFor(() =>
        expect(kube.writes.filter(({ about }) => about.includes('blog'))).toHaveLength(2),
      )

      expect(kube.get('reports', 'berth-images', 'shop')).toMatchObject(foreign)
      expect(lines.filter((line) => line.startsWith('warn'))).toEqual([
        'warn: report of another owner left unchanged',
      ])
    },
  )

  it('retries a write that failed', async () => {
    const { kube, findings, policies } = start()
    kube.refuse('reports shop/berth-images', 409)
    findings.publish('pull-failure', () => [failure])

    await vi.waitFor(() => expect(policies()).toEqual(['pull-failure']))
  })

  it('writes the other reports when a namespace is being deleted', async () => {
    const { kube, findings, policies } = start()
    kube.refuse('reports blog/berth-images', 404)
    findings.publish('pull-failure', () => [{ ...failure, namespace: 'blog' }, failure])

    await vi.waitFor(() => expect(policies()).toEqual(['pull-failure']))
  })
})
