import { describe, expect, it } from 'vitest'
import { createFallbackCheck } from '../../../src/diagnose/evidence/fallback-evidence.ts'
import { readConfig } from '../../../src/config/load.ts'
import { diagnoseMessage } from '../../../src/diagnose/verdict.ts'
import type { KubeObject } from '../../../src/kube/object.ts'
import { apiOf, type StoredObject } from '../../support/kube-objects.ts'

const image = 'docker.io/team/app:1'

function configOf(more = '') {
  const read = readConfig(
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: mirror.example, mirror: true }]
fallback: [{ name: hub, images: ["docker.io/team/**"], try: ["mirror.example/{path}", "docker.io/{path}"] }]
${more}`,
    '/nowhere',
  )
  if (!read.ok) throw new Error('the config has errors')
  return read.config
}

function podWith(changes: object = {}): KubeObject {
  return {
    metadata: {
      name: 'web',
      namespace: 'team',
      creationTimestamp: '2026-02-01T00:00:00Z',
      ...changes,
    },
    spec: { containers: [{ name: 'main', image }] },
  } as KubeObject
}

const webhook = {
  resource: 'mutatingwebhookconfigurations',
  metadata: { name: 'berth', creationTimestamp: '2026-01-01T00:00:00Z' },
  webhooks: [
    {
      name: 'mutate.berth.dev',
      namespaceSelector: {
        matchExpressions: [
          { key: 'berth.dev/rewrite', operator: 'NotIn', values: ['disabled'] },
          { key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: ['kube-system'] },
        ],
      },
    },
  ],
} as StoredObject

function namespace(labels: Record<string, string> = {}): StoredObject {
  return { resource: 'namespaces', metadata: { name: 'team', labels } }
}

interface Case {
  readonly objects?: readonly StoredObject[]
  readonly pod?: KubeObject
  readonly config?: string
  readonly asked?: string
}

async function check({
  objects = [webhook, namespace()],
  pod = podWith(),
  config,
  asked = image,
}: Case) {
  const fallback = createFallbackCheck({
    api: apiOf(objects),
    config: configOf(config),
    resolve: null,
  })
  const verdict = diagnoseMessage('dial tcp 10.0.0.1:443: i/o timeout', null)
  const failure = {
    namespace: 'team',
    pod: 'web',
    container: 'main',
    image: asked,
    field: 'containers/main',
    node: null,
    reason: 'ErrImagePull',
    message: '',
  }
  return fallback(verdict, failure, pod)
}

const annotated = (why: string) =>
  podWith({
    annotations: {
      'berth.dev/images': JSON.stringify([
        { site: 'containers/main', from: image, to: image, row: 'hub', why },
      ]),
    },
  })

describe('the fallback check', () => {
  it.each<[string, Case, string]>([
    [
      'the namespace opts out',
      { objects: [webhook, namespace({ 'berth.dev/rewrite': 'disabled' })] },
      'opts out (label berth.dev/rewrite: disabled)',
    ],
    [
      'observe mode',
      { objects: [webhook, namespace({ 'berth.dev/mode': 'observe' })] },
      'observe mode',
    ],
    [
      'the selector',
      { objects: [webhook, namespace({ 'kubernetes.io/metadata.name': 'kube-system' })] },
      "the webhook's namespaceSelector excludes this namespace",
    ],
    [
      'older than Berth',
      { pod: podWith({ creationTimestamp: '2025-12-31T00:00:00Z' }) },
      "is older than Berth's webhook (2026-01-01T00:00:00Z); recreate the pod",
    ],
    ['not called', {}, 'the API server got no answer from Berth'],
    [
      'not installed',
      { objects: [namespace()] },
      "Berth's webhook is not installed in this cluster",
    ],
    [
      'out of time',
      { pod: annotated('mirror.example timeout (no response in time); the original on docker.io') },
      'Berth ran out of time: mirror.example timeout',
    ],
    [
      'decided otherwise',
      { pod: annotated('mirror.example absent (404); the original on docker.io') },
      'Berth decided: mirror.example absent (404)',
    ],
    ['mode: observe', { config: 'mode: observe' }, 'mode: observe'],
  ])('names the better image and why it is not used: %s', async (_, settings, why) => {
    const [better, whyNotUsed] = await check(settings)

    expect(better).toBe('row hub would use mirror.example/team/app:1: not probed (--no-probe)')
    expect(whyNotUsed).toContain(why)
  })

  it('says that no row matches', async () => {
    expect(await check({ asked: 'quay.io/team/app:1' })).toEqual([
      'no row of the table matches quay.io/team/app:1; a row with a mirror before its registry would avoid this failure',
    ])
  })
})
