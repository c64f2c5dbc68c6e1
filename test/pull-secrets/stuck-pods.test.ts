import { describe, expect, it } from 'vitest'
import { readAccount } from '../../src/pull-secrets/objects.ts'
import {
  causeOf,
  type PresentCopy,
  type RawPod,
  readStuckPod,
} from '../../src/pull-secrets/stuck-pods.ts'

const created = '2026-01-01T00:00:00Z'
const copy: PresentCopy = {
  name: 'pull',
  keys: ['x.io'],
  hash: 'h',
  writtenAt: Date.parse(created) - 60_000,
}
const owner = { kind: 'ReplicaSet', name: 'web', uid: 'rs', controller: true }

function pod(
  more: {
    list?: string[]
    image?: string
    reason?: string
    message?: string
    owners?: (typeof owner)[]
  } = {},
): RawPod {
  const {
    list = [],
    image = 'x.io/team/app:1',
    reason = 'ImagePullBackOff',
    message = '',
    owners = [owner],
  } = more
  return {
    metadata: { name: 'web-1', uid: 'pod', creationTimestamp: created, ownerReferences: owners },
    spec: {
      serviceAccountName: 'sa',
      imagePullSecrets: list.map((name) => ({ name })),
      containers: [{ name: 'main', image }],
    },
    status: { containerStatuses: [{ name: 'main', state: { waiting: { reason, message } } }] },
  }
}

const account = (...names: string[]) =>
  readAccount({ metadata: { name: 'sa' }, imagePullSecrets: names.map((name) => ({ name })) })

function cause(raw: RawPod, linked = account('pull'), present = copy) {
  const stuck = readStuckPod(raw)
  return stuck === null ? null : causeOf(stuck, [present], linked)
}

describe('a pod', () => {
  it('that lacks what its account has by now has to be made again', () => {
    expect(cause(pod())).toMatchObject({ kind: 'list', obstacle: null, id: 'rs/pull/h' })
  })

  it('that was there before the secret has to wait, or to be made again', () => {
    const late = { ...copy, writtenAt: Date.parse(created) + 5_000 }

    expect(cause(pod({ list: ['pull'] }), account('pull'), late)).toMatchObject({ kind: 'late' })
    expect(cause(pod({ list: ['pull'] }))).toBeNull()
  })

  it('whose image is not there is not helped by a newer secret', () => {
    const late = { ...copy, writtenAt: Date.parse(created) + 5_000 }
    const of = (message: string) =>
      cause(pod({ list: ['pull'], message }), account('pull'), late)?.kind

    expect(of('failed to resolve reference "x.io/team/app:1": x.io/team/app:1: not found')).toBe(
      undefined,
    )
    expect(of('repository does not exist or may require authorization: not found')).toBe('late')
  })

  it.each<[string, RawPod, ReturnType<typeof account>]>([
    ['waits for something else', pod({ reason: 'ContainerCreating' }), account('pull')],
    ['waits for an image that the copy does not know', pod({ image: 'y.io/a' }), account('pull')],
    ['has an account without the copy', pod(), account('other')],
    ['has an account that is gone', pod(), null],
    [
      'is going away',
      { ...pod(), metadata: { name: 'a', deletionTimestamp: created } },
      account('pull'),
    ],
  ])('that %s is none of our matter', (_, raw, linked) => {
    expect(cause(raw, linked)).toBeNull()
  })

  it.each<[string, RawPod, RegExp]>([
    ['nobody owns', pod({ owners: [] }), /nobody makes it again/],
    ['a node owns', pod({ owners: [{ ...owner, kind: 'Node' }] }), /nobody makes it again/],
    ['a Job owns', pod({ owners: [{ ...owner, kind: 'Job' }] }), /count an eviction/],
    ['has pull secrets of its template', pod({ list: ['own'] }), /template names own/],
  ])('that %s is told of, and why it would not help', (_, raw, words) => {
    expect(cause(raw)?.obstacle).toMatch(words)
  })
})
