import { describe, expect, it } from 'vitest'
import { createDecide } from '../../src/decision/resolve/decision-cache.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import { buildUnprocessedReport } from '../../src/report/unprocessed-report.ts'
import { startFakeKube } from '../support/fake-kube.ts'
import { failed, found, registriesOf } from '../support/manifest-answers.ts'
import { tableOf } from '../support/tables.ts'

const table = tableOf(
  ['mirror.example'],
  [
    { name: 'left', images: ['docker.io/left/*'], leave: true },
    { name: 'deny', images: ['docker.io/deny/*'], try: ['mirror.example/{path}'], otherwise: 'deny' }, // prettier-ignore
    { name: 'first', images: ['docker.io/first/*'], try: ['mirror.example/{path}'], otherwise: 'first' }, // prettier-ignore
    { name: 'hub', images: ['docker.io/**'], try: ['mirror.example/{path}', 'docker.io/{path}'] },
  ],
)

function pod(name: string, images: readonly string[], more: object = {}): KubeObject {
  const containers = images.map((image, index) => ({ name: `c${index}`, image }))
  return { metadata: { name, namespace: 'shop', ...more }, spec: { containers } } as KubeObject
}

const webOwner = {
  ownerReferences: [
    { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'rs', controller: true },
  ],
}

async function report(pods: readonly KubeObject[], answers: Parameters<typeof registriesOf>[0]) {
  const kube = startFakeKube()
  for (const each of pods) kube.put('pods', each)
  const { dependencies } = registriesOf(answers)
  const pin = { matches: () => false, unresolved: 'keep' as const }
  return buildUnprocessedReport(kube.api, {
    table,
    decide: createDecide(dependencies, { table, pin }),
    findMode: () => ({ mode: 'enforce' }),
    namespace: undefined,
    timeoutMs: 1_000,
    parallelPods: 2,
  })
}

const everywhere = { 'mirror.example': found(), 'docker.io': found() }

describe('buildUnprocessedReport', () => {
  it('lists each image that a new pod would get from elsewhere', async () => {
    const { images, summary } = await report(
      [pod('web-1', ['nginx:1', 'ghcr.io/acme/app:1'], webOwner), pod('bare', ['nginx:1'])],
      everywhere,
    )

    expect(images).toEqual([
      {
        namespace: 'shop',
        pod: 'web-1',
        owner: 'apps/ReplicaSet/web',
        image: 'nginx:1',
        becomes: 'mirror.example/library/nginx:1',
        row: 'hub',
        obstacle: null,
      },
      expect.objectContaining({
        pod: 'bare',
        owner: null,
        obstacle: 'the pod has no controller: delete and recreate it',
      }),
    ])
    expect(summary).toEqual({ pods: 2, restartable: 1, unknown: 0 })
  })

  it.each<[string, readonly string[], Parameters<typeof registriesOf>[0]]>([
    ['whose image a row leaves', ['left/app:1'], everywhere],
    ['whose image the mirror lacks', ['nginx:1'], { 'docker.io': found() }],
    ['that would be denied', ['nginx:1', 'deny/app:1'], { 'mirror.example/library/nginx:1': found() }], // prettier-ignore
  ])('does not list a pod %s', async (_, images, answers) => {
    const { summary } = await report([pod('web-1', images, webOwner)], answers)

    expect(summary.pods).toBe(0)
  })

  it.each<[string, readonly string[], Parameters<typeof registriesOf>[0], string]>([
    ['a row leaves one of its images', ['nginx:1', 'left/app:1'], everywhere, 'row left leaves an image of the pod unchanged'], // prettier-ignore
    ['its mirror does not answer', ['first/app:1'], { 'mirror.example': failed('unreachable') }, 'the registry of mirror.example/first/app:1 has not confirmed that it has the image'], // prettier-ignore
  ])('says that a pod is not restarted because %s', async (_, images, answers, obstacle) => {
    const { images: lines } = await report([pod('web-1', images, webOwner)], answers)

    expect(lines).toMatchObject([{ obstacle }])
  })

  it('counts pods for whose images a registry did not answer', async () => {
    const { summary } = await report([pod('web-1', ['nginx:1'], webOwner)], {
      'mirror.example': failed('unreachable'),
      'docker.io': found(),
    })

    expect(summary).toEqual({ pods: 0, restartable: 0, unknown: 1 })
  })
})
