import { describe, expect, it } from 'vitest'
import { readTrend } from '../../src/console/trend.ts'
import type { KubeApi } from '../../src/kube/api-client.ts'
import { KubeError } from '../../src/kube/error.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import { startFakeKube } from '../support/fake-kube.ts'

const step = 600_000
const now = 20 * step + 1_000
const webhookSeries = ['reviews', 'denied', 'errors', 'images', 'fromMirror']

const webhook = (startedAt: number, ...samples: readonly (readonly number[])[]) => ({
  startedAt,
  stepMs: step,
  series: webhookSeries,
  samples,
})

function clusterOf(answers: Readonly<Record<string, unknown>>) {
  const kube = startFakeKube()
  const paths: string[] = []
  for (const name of Object.keys(answers))
    kube.put('pods', {
      metadata: { name, namespace: 'berth-system', labels: { 'app.kubernetes.io/name': 'berth' } },
      spec: { containers: [{ name: 'berth', ports: [{ name: 'metrics', containerPort: 9_000 }] }] },
      status: { phase: 'Running' },
    } as KubeObject)
  const api: KubeApi = {
    ...kube.api,
    getRaw: async (path) => {
      paths.push(path)
      const answer = answers[/pods\/([^:]+)/.exec(path)?.[1] ?? '']
      if (answer instanceof Error) throw answer
      return answer
    },
  }
  return { paths, read: () => readTrend({ api, namespace: 'berth-system', now: () => now }) }
}

const none = { reviews: 0, denied: 0, errors: 0, images: 0, fromMirror: 0, failing: null }

describe('readTrend', () => {
  it('adds what all processes counted in each step, through the proxy of the API server', async () => {
    const { read, paths } = clusterOf({
      a: webhook(19 * step - 5, [19 * step, 5, 0, 0, 10, 4], [20 * step, 7, 1, 0, 12, 6], [now, 8, 1, 0, 13, 7]), // prettier-ignore
      b: webhook(1, [20 * step, 100, 0, 0, 100, 0], [now, 110, 0, 3, 110, 10]),
    })

    expect((await read()).points).toEqual([
      { ...none, at: 19 * step, reviews: 5, images: 10, fromMirror: 4 },
      { ...none, at: 20 * step, reviews: 2, denied: 1, images: 2, fromMirror: 2 },
      { ...none, at: now, reviews: 11, errors: 3, images: 11, fromMirror: 11 },
    ])
    expect(paths).toContain('/api/v1/namespaces/berth-system/pods/a:9000/proxy/metrics/history')
  })

  it('takes the failing pods from the controller that leads', async () => {
    const controller = (leads: number, failing: number) => ({
      startedAt: 20 * step - 5,
      stepMs: step,
      series: ['leads', 'failing'],
      samples: [[20 * step, leads, failing]],
    })
    const { read } = clusterOf({ leader: controller(1, 4), other: controller(0, 9) })

    expect((await read()).points).toEqual([{ ...none, at: 20 * step, failing: 4 }])
  })

  it('says why a process cannot be read, and counts the others', async () => {
    const forbidden = 'the API server answered 403: pods "a" is forbidden'
    const { read } = clusterOf({
      a: new KubeError(403, 'Forbidden', forbidden),
      b: webhook(20 * step - 5, [20 * step, 1, 0, 0, 0, 0]),
      old: { page: 'not found' },
    })
    const { processes, points, problem } = await read()

    expect(problem).toBeNull()
    expect(processes).toEqual([
      { name: 'a', since: null, problem: forbidden },
      { name: 'b', since: 20 * step - 5, problem: null },
      { name: 'old', since: null, problem: 'this version of Berth keeps no history' },
    ])
    expect(points).toHaveLength(1)
  })

  it.each([
    ['values that are not numbers', webhook(1, [step, Number.NaN, 0, 0, 0, 0])],
    ['too few values', webhook(1, [step, 1])],
    ['too many samples', webhook(1, ...Array.from({ length: 1_001 }, () => [1, 0, 0, 0, 0, 0]))],
    ['another step', { ...webhook(1), stepMs: 1 }],
    ['no object', 'text'],
  ])('ignores an answer with %s', async (_, answer) => {
    expect((await clusterOf({ a: answer }).read()).points).toEqual([])
  })

  it('says that the processes may not be listed', async () => {
    const { api } = startFakeKube()
    const list = () => {
      throw new KubeError(403, 'Forbidden', 'pods is forbidden')
    }
    const options = { api: { ...api, list } as KubeApi, namespace: 'berth-system', now: () => now }

    expect(await readTrend(options)).toMatchObject({ problem: 'pods is forbidden', points: [] })
  })
})
