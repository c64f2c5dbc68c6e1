/** Property test: whatever writes fail, in whatever order, every other write is done. */
import { fc, runs } from '../support/fast-check.ts'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { KubeError } from '../../src/kube/error.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import { type AttemptedWrite, type FakeKube, startFakeKube } from '../support/fake-kube.ts'
import {
  eventsIn,
  putNamespaces,
  type RunningLoop,
  secretsOf,
  source,
  startPullSecretsLoop,
} from '../support/pull-secrets-loop.ts'

/** Every write of the scene below. */
const allWrites = [
  'create pull',
  'create second',
  'remove old',
  'link default: pull',
  'link default: second',
  'unlink default: old',
  'link builder: pull',
  'link builder: second',
  'unlink builder: old',
] as const
type SceneWrite = (typeof allWrites)[number]

const accounts = ['default', 'builder'] as const

/** How one attempt ends; `lost` has an effect that the client does not see. */
const outcomes = ['done', 'forbidden', 'invalid', 'conflict', 'busy', 'unreachable'] as const
type Outcome = (typeof outcomes)[number]

const errors: Readonly<Record<Exclude<Outcome, 'done'>, KubeError>> = {
  forbidden: new KubeError(403, 'Forbidden', 'exceeded quota'),
  invalid: new KubeError(422, 'Invalid', 'denied by a policy'),
  conflict: new KubeError(409, 'Conflict', 'the object has been modified'),
  busy: new KubeError(500, 'InternalError', 'etcdserver: request timed out'),
  unreachable: new KubeError(null, '', 'connection reset'),
}

/** Returns the writes of the scene that a request makes; several for a patch with several names. */
function writesOf({ verb, about, body }: AttemptedWrite): readonly SceneWrite[] {
  const name = about.split('/')[1] ?? ''
  if (about.startsWith('secrets ')) return allWrites.filter((each) => each === `${verb} ${name}`)
  const text = JSON.stringify(body)
  return allWrites.filter((each) => {
    const [, kind = '', account = '', copy = ''] = /^(link|unlink) (\w+): (\w+)$/.exec(each) ?? []
    if (account !== name) return false
    return text.includes(
      kind === 'link'
        ? `{"name":"${copy}"}`
        : `"op":"test","path":"/imagePullSecrets/0/name","value":"${copy}"`,
    )
  })
}

/** A namespace with the copy `old`, whose source is gone, and without the copies `pull` and `second`. */
function createScene(): FakeKube {
  const kube = startFakeKube()
  kube.put('secrets', source('one'))
  putNamespaces(kube, ['app1'])
  kube.put('secrets', {
    metadata: {
      name: 'old',
      namespace: 'app1',
      labels: { 'app.kubernetes.io/managed-by': 'berth', 'berth.dev/copied': 'true' },
    },
    type: 'kubernetes.io/dockerconfigjson',
    data: { '.dockerconfigjson': 'e30=' },
  } as KubeObject)
  for (const name of accounts)
    kube.put('serviceaccounts', {
      metadata: {
        name,
        namespace: 'app1',
        annotations: { 'berth.dev/linked-pull-secrets': 'old' },
      },
      imagePullSecrets: [{ name: 'old' }],
    } as KubeObject)
  return kube
}

/** What the scene has become, in the words of `allWrites`. */
function doneIn(kube: FakeKube): readonly SceneWrite[] {
  const isThere = (name: string) => kube.get('secrets', name, 'app1') !== null
  return allWrites.filter((write) => {
    const [verb, name = '', copy = ''] = write.split(/:? /)
    if (verb === 'create') return isThere(name)
    if (verb === 'remove') return !isThere(name)
    const isLinked = secretsOf(kube, 'app1', name)?.includes(copy) === true
    return verb === 'link' ? isLinked : !isLinked
  })
}

let running: RunningLoop | null = null

afterEach(() => running?.stop())

describe('failing writes', () => {
  it('never keep another write from being done', { timeout: 300_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...outcomes), { maxLength: 12 }),
        fc.subarray([...allWrites]),
        fc.constantFrom<Outcome>('forbidden', 'invalid', 'busy'),
        async (attempts, refused, refusal) => {
          const kube = createScene()
          const left = [...attempts]
          for (const outcome of outcomes) {
            if (outcome === 'done') continue
            kube.refuseAlways((write) => {
              const writes = writesOf(write)
              if (writes.some((each) => refused.includes(each))) return outcome === refusal
              if (writes.length === 0 || left[0] !== outcome) return false
              left.shift()
              return true
            }, errors[outcome])
          }
          kube.refuseAlways((write) => {
            if (writesOf(write).length > 0 && left[0] === 'done') left.shift()
            return false
          }, errors.busy)
          running = startPullSecretsLoop(kube, {
            copy: ", serviceAccounts: ['*']",
            more: [
              "{ name: second, from: [home/src], namespaces: ['app*'], serviceAccounts: ['*'] }",
              "{ name: old, from: [home/gone], namespaces: ['app*'], serviceAccounts: ['*'] }",
            ],
            times: { sourceGraceMs: 0, retry: { firstMs: 1, maxMs: 8 } },
          })
          // A link needs its copy.
          const isPossible = (write: SceneWrite) =>
            !refused.includes(write) &&
            !(
              write.startsWith('link') &&
              refused.includes(`create ${write.split(': ')[1]}` as SceneWrite)
            )
          const expected = allWrites.filter(isPossible)
          await vi.waitFor(() => expect(doneIn(kube)).toEqual(expected), {
            timeout: 20_000,
            interval: 2,
          })
          if (refusal !== 'busy' && refused.length > 0)
            await vi.waitFor(() => expect(eventsIn(kube, 'app1').length).toBeGreaterThan(0))
          await running.stop()
        },
      ),
      // Six writes that are retried all the time must not keep the Event from being recorded.
      {
        ...runs(60),
        examples: [[[], allWrites.filter((write) => write.includes('link')), 'forbidden']],
      },
    )
  })
})
