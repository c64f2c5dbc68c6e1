import { fc, runs } from '../../support/fast-check.ts'
import { describe, expect, it } from 'vitest'
import { controllerUid, digestsOf, revisionOf } from '../../../src/decision/pod/revision.ts'
import { pod } from '../../robustness/pods.ts'

const digestOf = (index: number) => `sha256:${index.toString(16).padStart(64, '0')}`

/** A stored pod with records from these images to these digests. */
function podWith(name: string, records: readonly (readonly [from: string, digest: string])[]) {
  const list = records.map(([from, digest], index) => ({
    site: `containers/c${index}`,
    from,
    to: `m.example/${from}@${digest}`,
    row: null,
    why: '',
  }))
  return { metadata: { name, annotations: { 'berth.dev/images': JSON.stringify(list) } } }
}

describe('revisionOf', () => {
  const podOfController = (labels: object) => ({
    metadata: { labels, ownerReferences: [{ controller: true, uid: 'u' }] },
  })

  it.each([
    ['a ReplicaSet', { 'pod-template-hash': 'a1', app: 'x' }, 'pod-template-hash=a1'],
    [
      'a StatefulSet whose template has a copied label',
      { 'pod-template-hash': 'a1', 'controller-revision-hash': 's-2' },
      'pod-template-hash=a1,controller-revision-hash=s-2',
    ],
    ['a pod with an invalid label', { 'pod-template-hash': 'a,b=c' }, undefined],
    ['a pod without one', { app: 'x' }, undefined],
  ])('returns the selector for %s', (_, labels, selector) => {
    expect(revisionOf(podOfController(labels), 'team')?.selector).toBe(selector)
  })
})

describe('digestsOf', () => {
  it('keeps the digests of the oldest pods, at most three for an image', () => {
    const pods = [4, 3, 2, 1].map((index) => podWith(`pod-${index}`, [['a:1', digestOf(index)]]))

    expect([...digestsOf(pods)]).toEqual([
      ['a:1', [1, 2, 3].map((index) => ({ digest: digestOf(index), pod: `pod-${index}` }))],
    ])
  })

  it('keeps at most 256 images', () => {
    const records = Array.from({ length: 300 }, (_, index) => [`a:${index}`, digestOf(1)] as const)

    expect(digestsOf([podWith('one', records)]).size).toBe(256)
  })

  it('reads any pod without an error, as the other functions do', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(pod, fc.json()), { maxLength: 3 }), (texts) => {
        const pods = texts.map((text): unknown => JSON.parse(text))

        expect(digestsOf(pods)).toBeInstanceOf(Map)
        for (const each of pods) {
          expect(controllerUid(each)).toBeTypeOf('string')
          expect(revisionOf(each, 'team')?.selector ?? 'a=b').toMatch(
            /^(?:[-a-z./]+=[-A-Za-z0-9_.]{1,63},?){1,5}$/,
          )
        }
      }),
      runs(300),
    )
  })
})
