import { expect, it } from 'vitest'
import type { KubeObject } from '../../src/kube/object.ts'
import { runningImages } from '../../src/report/running-images.ts'

const record = (site: string, from: string, to: string) => ({ site, from, to, row: 'hub', why: '' })

function pod(spec: object, status: object, records: readonly object[] = []): KubeObject {
  const annotations = { 'berth.dev/images': JSON.stringify(records) }
  return {
    metadata: { name: 'web', namespace: 'shop', annotations },
    spec,
    status: { phase: 'Running', ...status },
  } as unknown as KubeObject
}

const pulled = (name: string) => ({ name, imageID: 'sha256:0' })

it('returns the image of the pod and the image that Berth replaced, each once', () => {
  const containers = [
    { name: 'a', image: 'mirror.example/nginx:1' },
    { name: 'b', image: 'mirror.example/nginx:1' },
    { name: 'c', image: 'redis:7' },
  ]
  const records = [
    record('containers/a', 'nginx:1', 'mirror.example/nginx:1'),
    record('containers/c', 'forged:1', 'other:1'),
  ]

  expect(
    runningImages(pod({ containers }, { containerStatuses: ['a', 'b', 'c'].map(pulled) }, records)),
  ).toEqual([
    { source: 'registry', image: 'mirror.example/nginx:1' },
    { source: 'registry', image: 'redis:7' },
    { source: 'upstream', image: 'nginx:1' },
  ])
})

it('includes init containers, ephemeral containers and image volumes', () => {
  const spec = {
    initContainers: [{ name: 'i', image: 'init:1' }],
    ephemeralContainers: [{ name: 'e', image: 'debug:1' }],
    volumes: [{ name: 'v', image: { reference: 'model:1' } }],
  }
  const status = {
    initContainerStatuses: [pulled('i')],
    ephemeralContainerStatuses: [pulled('e')],
  }

  expect(runningImages(pod(spec, status)).map(({ image }) => image)).toEqual([
    'init:1',
    'debug:1',
    'model:1',
  ])
})

it('leaves out images that are not pulled, and pods that have ended', () => {
  const containers = [
    { name: 'a', image: 'typo:1' },
    { name: 'b', image: 'local:1', imagePullPolicy: 'Never' },
    { name: 'c', image: 'app:1' },
  ]
  const containerStatuses = [{ name: 'a', imageID: '' }, pulled('b'), pulled('c')]

  expect(runningImages(pod({ containers }, { containerStatuses }))).toEqual([
    { source: 'registry', image: 'app:1' },
  ])
  expect(runningImages(pod({ containers }, { phase: 'Failed', containerStatuses }))).toEqual([])
})

it('returns a bounded number of images of one pod', () => {
  const names = Array.from({ length: 1_000 }, (_, index) => `c${index}`)
  const containers = names.map((name) => ({ name, image: `app:${name}` }))

  expect(runningImages(pod({ containers }, { containerStatuses: names.map(pulled) }))).toHaveLength(
    256,
  )
})
