import { describe, expect, it } from 'vitest'
import { readAccount } from '../../src/pull-secrets/objects.ts'
import {
  findStuckCause,
  type PresentCopy,
  type PodObject,
  readStuckPod,
} from '../../src/pull-secrets/stuck-pods.ts'

const created = '2026-01-01T00:00:00Z'
const copy: PresentCopy = {
  name: 'pull',
  keys: ['x.io'],
  hash: 'h',
  writtenAt: Date.parse(created) - 60_000,
}
const owner = {
  apiVersion: 'apps/v1',
  kind: 'ReplicaSet',
  name: 'web',
  uid: 'rs',
  controller: true,
}

function pod(
  more: {
    list?: string[]
    image?: string
    reason?: string
    message?: string
    owners?: (typeof owner)[]
  } = {},
): PodObject {
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
      volumes: [{ name: 'model', image: { reference: 'y.io/team/model:1' } }],
    },
    status: { containerStatuses: [{ name: 'main', state: { waiting: { reason, message } } }] },
  } as PodObject
}

const account = (...names: string[]) =>
  readAccount({ metadata: { name: 'sa' }, imagePullSecrets: names.map((name) => ({ name })) })

function cause(raw: PodObject, linked = account('pull'), present = copy) {
  const stuck = readStuckPod(raw)
  return stuck === null ? null : findStuckCause(stuck, [present], linked)
}

describe('a stuck pod', () => {
  it('must be recreated when it lacks a secret that its service account has now', () => {
    expect(cause(pod())).toMatchObject({ kind: 'list', obstacle: null, id: 'rs/pull/h' })
  })

  it('is late when the secret is newer than the pod', () => {
    const late = { ...copy, writtenAt: Date.parse(created) + 5_000 }

    expect(cause(pod({ list: ['pull'] }), account('pull'), late)).toMatchObject({ kind: 'late' })
    expect(cause(pod({ list: ['pull'] }))).toBeNull()
  })

  it('has no cause when the registry reports that the image does not exist', () => {
    const late = { ...copy, writtenAt: Date.parse(created) + 5_000 }
    const kindOf = (message: string) =>
      cause(pod({ list: ['pull'], message }), account('pull'), late)?.kind

    expect(
      kindOf('failed to resolve reference "x.io/team/app:1": x.io/team/app:1: not found'),
    ).toBe(undefined)
    expect(kindOf('repository does not exist or may require authorization: not found')).toBe('late')
  })

  it('waits for the image that the message names, which can be the image of a volume', () => {
    const message = 'Back-off pulling image "y.io/team/model:1": ErrImagePull: failed to pull and unpack image "y.io/team/model:1"' // prettier-ignore

    expect(readStuckPod(pod({ message }))?.images).toEqual(['y.io/team/model:1'])
    expect(cause(pod({ message }))).toBeNull()
    expect(cause(pod({ message: message.replaceAll('y.io/team/model', 'y.io/old') }))).toBeNull()
  })

  it.each<[string, PodObject, ReturnType<typeof account>]>([
    ['waits for something else', pod({ reason: 'ContainerCreating' }), account('pull')],
    ['waits for an image of another registry', pod({ image: 'y.io/a' }), account('pull')],
    ['has a service account without the copy', pod(), account('other')],
    ['has a service account that does not exist', pod(), null],
    [
      'is being deleted',
      { ...pod(), metadata: { name: 'a', deletionTimestamp: created } },
      account('pull'),
    ],
  ])('that %s has no cause', (_, raw, linked) => {
    expect(cause(raw, linked)).toBeNull()
  })

  it.each<[string, PodObject, RegExp]>([
    ['has no controller', pod({ owners: [] }), /no controller: delete and recreate it/],
    ['is static', pod({ owners: [{ ...owner, kind: 'Node' }] }), /static pod of node web/],
    ['belongs to a Job', pod({ owners: [{ ...owner, kind: 'Job' }] }), /count an eviction/],
    ['has pull secrets in its template', pod({ list: ['own'] }), /template names own/],
  ])('that %s has an obstacle to recreating it', (_, raw, words) => {
    expect(cause(raw)?.obstacle).toMatch(words)
  })
})
