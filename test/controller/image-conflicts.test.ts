import { describe, expect, it } from 'vitest'
import {
  createConflictDetector,
  type ImageConflict,
  readRewrittenPod,
  rowToLeave,
} from '../../src/controller/image-conflicts.ts'
import type { KubeObject } from '../../src/kube/object.ts'

interface PodOptions {
  readonly uid: string
  readonly name?: string
  readonly kind?: string
  readonly from?: string
  readonly to?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly status?: object
  readonly isTerminating?: boolean
}

const to = 'mirror.example/docker.io/library/db:1'

function pod(options: PodOptions): KubeObject {
  const { uid, name = 'db-0', kind = 'db.example/v1/Database', from = 'db:1' } = options
  const [group, version, ownerKind = ''] = kind.split('/')
  const image = options.to ?? to
  const record = { site: 'containers/main', from, to: image, row: 'all', why: 'found' }
  return {
    metadata: {
      name,
      namespace: 'team',
      uid,
      labels: { app: 'db', ...options.labels },
      annotations: { 'berth.dev/images': JSON.stringify([record]) },
      ownerReferences: [
        {
          apiVersion: `${group}/${version}`,
          kind: ownerKind,
          name: 'db',
          uid: 'o',
          controller: true,
        },
      ],
      ...(options.isTerminating === true ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
    },
    spec: {
      containers: [{ name: 'main', image }],
      volumes: [{ name: `kube-api-access-${uid.padStart(5, '0').slice(-5)}`, projected: {} }],
    },
    status: options.status ?? { phase: 'Running' },
  } as KubeObject
}

/** Feeds a detector with pods, by a clock in seconds. Returns the conflicts. */
function detect() {
  const detector = createConflictDetector()
  const conflicts: ImageConflict[] = []
  let now = 0
  const observe = (options: PodOptions) => {
    const read = readRewrittenPod(pod(options))
    const conflict = read === null ? null : detector.observe(read, now * 1_000)
    if (conflict !== null) conflicts.push(conflict)
  }
  return {
    conflicts,
    wait: (seconds: number) => void (now += seconds),
    observe,
    /** A pod that terminates within a second, and its replacement after `gap` seconds. */
    replace: (old: PodOptions, next: PodOptions, gap = 1) => {
      observe({ ...old, isTerminating: true })
      now += 1
      detector.remove(old.uid, now * 1_000)
      now += gap
      observe(next)
    },
  }
}

/** Replaces a pod so many times, after it has run for `seconds`. */
function replaceAgain(
  { observe, replace, wait }: ReturnType<typeof detect>,
  times: number,
  {
    seconds = 5,
    gap = 1,
    ...options
  }: Partial<PodOptions> & { seconds?: number; gap?: number } = {},
) {
  observe({ ...options, uid: '0' })
  for (let count = 0; count < times; count++) {
    wait(seconds)
    replace({ ...options, uid: `${count}` }, { ...options, uid: `${count + 1}` }, gap)
  }
}

describe('the detector of image conflicts', () => {
  it('finds an owner that replaces a rewritten pod three times, one after the other', () => {
    const run = detect()
    replaceAgain(run, 3)

    expect(run.conflicts).toEqual([
      {
        namespace: 'team',
        owner: expect.objectContaining({ kind: 'Database', name: 'db' }) as unknown,
        labels: { app: 'db' },
        change: { site: 'containers/main', from: 'db:1', to },
        replacements: 3,
      },
    ])
  })

  it('finds it if the replacement comes while the old pod terminates, and with another name and digest', () => {
    const run = detect()
    run.observe({ uid: '0', name: 'db-x7' })
    for (let count = 0; count < 3; count++) {
      run.observe({ uid: `${count}`, name: `db-x${count}`, isTerminating: true })
      run.observe({ uid: `${count + 1}`, name: `db-x${count + 1}`, to: `${to}@sha256:${count}` })
    }

    expect(run.conflicts).toHaveLength(1)
  })

  it('finds operators that delete the pods of a StatefulSet', () => {
    const run = detect()
    replaceAgain(run, 3, { kind: 'apps/v1/StatefulSet' })

    expect(run.conflicts).toHaveLength(1)
  })

  it('does not accuse an owner before the third replacement', () => {
    const run = detect()
    replaceAgain(run, 2)

    expect(run.conflicts).toEqual([])
  })

  it('does not accuse the owner of pods whose images Berth did not change', () => {
    const run = detect()
    replaceAgain(run, 5, { from: to })

    expect(run.conflicts).toEqual([])
  })

  it('ignores a kind that would not be a kind in a row', () => {
    const run = detect()
    replaceAgain(run, 5, { kind: "db.example/v1/X], namespaces: ['*'" })

    expect(run.conflicts).toEqual([])
  })

  it('does not accuse a rollout, which changes the pod', () => {
    const run = detect()
    run.observe({ uid: '0', labels: { 'controller-revision-hash': 'a' } })
    for (let count = 0; count < 5; count++) {
      const labels = { 'controller-revision-hash': `rev${count}` }
      run.replace({ uid: `${count}` }, { uid: `${count + 1}`, labels })
    }

    expect(run.conflicts).toEqual([])
  })

  it('does not accuse a rollout of another image', () => {
    const run = detect()
    run.observe({ uid: '0' })
    for (let count = 0; count < 5; count++)
      run.replace({ uid: `${count}` }, { uid: `${count + 1}`, from: `db:${count + 2}` })

    expect(run.conflicts).toEqual([])
  })

  it('does not accuse a rolling restart, which replaces each of many equal pods once', () => {
    const run = detect()
    for (let count = 0; count < 6; count++) run.observe({ uid: `old${count}` })
    for (let count = 0; count < 6; count++)
      run.replace({ uid: `old${count}` }, { uid: `new${count}` })

    expect(run.conflicts).toEqual([])
  })

  it.each([
    ['restarted containers', { containerStatuses: [{ restartCount: 1, state: { running: {} } }] }],
    [
      'a crashed container',
      { containerStatuses: [{ restartCount: 0, state: { terminated: { exitCode: 1 } } }] },
    ],
    [
      'a crash loop of an init container',
      { initContainerStatuses: [{ state: { waiting: { reason: 'CrashLoopBackOff' } } }] },
    ],
    [
      'a failed pull',
      { containerStatuses: [{ state: { waiting: { reason: 'ImagePullBackOff' } } }] },
    ],
    ['the phase Failed', { phase: 'Failed' }],
    ['the phase Succeeded', { phase: 'Succeeded' }],
    ['an eviction', { conditions: [{ type: 'DisruptionTarget', status: 'True' }] }],
  ])('does not accuse the owner of pods with %s', (_, status) => {
    const run = detect()
    run.observe({ uid: '0' })
    for (let count = 0; count < 5; count++) {
      run.observe({ uid: `${count}`, status })
      run.replace({ uid: `${count}` }, { uid: `${count + 1}` })
    }

    expect(run.conflicts).toEqual([])
  })

  it('ignores how the containers of a terminating pod end', () => {
    const run = detect()
    run.observe({ uid: '0' })
    for (let count = 0; count < 3; count++) {
      const status = {
        phase: 'Failed',
        containerStatuses: [{ restartCount: 0, state: { terminated: { exitCode: 143 } } }],
      }
      run.replace({ uid: `${count}`, status }, { uid: `${count + 1}` })
    }

    expect(run.conflicts).toHaveLength(1)
  })

  it.each(['batch/v1/Job', 'apps/v1/ReplicaSet'])('does not accuse %s', (kind) => {
    const run = detect()
    replaceAgain(run, 5, { kind })

    expect(run.conflicts).toEqual([])
  })

  it('does not accuse an autoscaler that removes a pod and adds it again later', () => {
    const run = detect()
    replaceAgain(run, 5, { kind: 'apps/v1/StatefulSet', seconds: 60, gap: 15 })

    expect(run.conflicts).toEqual([])
  })

  it('does not accuse an autoscaler that scales down once in five minutes', () => {
    const run = detect()
    replaceAgain(run, 5, { kind: 'apps/v1/StatefulSet', seconds: 300 })

    expect(run.conflicts).toEqual([])
  })
})

describe('rowToLeave', () => {
  const owner = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: "a', leave: x", uid: 'o' }
  const change = { site: 'containers/main', from: 'a', to: 'b' }

  it.each([
    [{ app: '1' }, ", pods: { matchLabels: { app: '1' } }"],
    [
      { name: 'web', 'app.kubernetes.io/instance': 'Shop.1' },
      ", pods: { matchLabels: { app.kubernetes.io/instance: 'Shop.1' } }",
    ],
    [{ team: 'x' }, ''],
  ])('names the pods by the best of the labels %j', (labels, pods) => {
    const conflict = { namespace: 'team', owner, labels, change, replacements: 3 }

    expect(rowToLeave(conflict)).toBe(
      `- { name: leave-a---leave--x, when: { namespaces: [team], owners: [apps/StatefulSet]${pods} }, leave: true }`,
    )
  })
})
