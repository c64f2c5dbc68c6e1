import { expect, it } from 'vitest'
import { atRiskReportTable } from '../../src/cli/output/report-table.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import { buildAtRiskReport, createAvailabilityChecks } from '../../src/report/at-risk-report.ts'
import { startFakeKube } from '../support/fake-kube.ts'
import { failed, found, registriesOf } from '../support/manifest-answers.ts'

function pod(name: string, namespace: string, image: string, from = image): KubeObject {
  const record = { site: 'containers/web', from, to: image, row: 'hub', why: '' }
  const annotations = { 'berth.dev/images': JSON.stringify([record]) }
  return {
    metadata: { name, namespace, annotations },
    spec: { containers: [{ name: 'web', image }] },
    status: { phase: 'Running', containerStatuses: [{ name: 'web', imageID: 'sha256:0' }] },
  } as unknown as KubeObject
}

async function reportOn(namespace?: string) {
  const kube = startFakeKube()
  kube.put('pods', pod('one', 'shop', 'anubis:32000/app:1', 'nginx:1'))
  kube.put('pods', pod('two', 'web', 'anubis:32000/app:1', 'nginx:1'))
  kube.put('pods', pod('three', 'web', 'quay.io/app:1'))
  kube.put('pods', pod('four', 'web', 'ghcr.io/app:1'))
  kube.put('pods', pod('five', 'web', 'anubis:32000/gone:1'))
  const registries = registriesOf(
    {
      'anubis:32000/gone:1': failed('absent', '404 MANIFEST_UNKNOWN'),
      'anubis:32000': found(),
      'docker.io': failed('absent', '404'),
      'quay.io': failed('limited', '429'),
    },
    { unlisted: ['ghcr.io'] },
  )
  const pods = { apiVersion: 'v1', resource: 'pods' }
  const report = await buildAtRiskReport(
    kube.api.list(namespace === undefined ? pods : { ...pods, namespace }),
    {
      isPlainHttp: () => false,
      checks: createAvailabilityChecks({
        resolve: registries.dependencies,
        timeoutMs: 1_000,
        parallelImages: 2,
      }),
    },
  )
  return { report, asked: registries.asked }
}

it('lists images that are absent or unknown, and checks each image once', async () => {
  const { report, asked } = await reportOn()

  expect(
    report.images.map(({ state, image, source, pods }) => [state, image, source, pods]),
  ).toEqual([
    ['absent', 'anubis:32000/gone:1', 'registry', 1],
    ['absent', 'docker.io/library/nginx:1', 'upstream', 2],
    ['unknown', 'ghcr.io/app:1', 'registry', 1],
    ['unknown', 'quay.io/app:1', 'registry', 1],
  ])
  expect(report.images[1]).toMatchObject({ detail: '404', namespaces: ['shop', 'web'] })
  expect(report.images[2]?.detail).toBe('ghcr.io is not listed under registries')
  expect(report.summary).toEqual({
    images: 5,
    available: 1,
    absent: 2,
    unknown: 2,
    unanswered: 1,
  })
  expect(asked.toSorted()).toEqual([
    'anubis:32000/app:1',
    'anubis:32000/gone:1',
    'docker.io/library/nginx:1',
    'quay.io/app:1',
  ])
})

it('prints a table that says what one 404 proves', async () => {
  const { report } = await reportOn('shop')
  const text = atRiskReportTable(report, { stdout: { write: () => true } as never, env: {} })

  expect(text).toMatch(/^absent +docker\.io\/library\/nginx:1 +upstream +1 +shop +404$/m)
  expect(text).toContain('2 running images, 1 available, 1 absent, 0 unknown')
  expect(text).toContain('one 404 response, which does not prove that the image is gone')
})
