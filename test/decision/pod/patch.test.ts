import { fc, runs } from '../../support/fast-check.ts'
import { describe, expect, it } from 'vitest'
import { applyPatch, buildPatch, roomForAnnotation } from '../../../src/decision/pod/patch.ts'
import { findSites } from '../../../src/decision/pod/sites.ts'
import { podOf } from '../../support/reviews.ts'

const nothing = { sites: [], annotation: null, pullSecrets: [] }

function rewriting(pod: unknown, image: string) {
  return buildPatch(pod, {
    ...nothing,
    sites: findSites(pod).map((site) => ({ site, image, pullPolicy: site.pullPolicy })),
  })
}

describe('buildPatch', () => {
  it('changes single values', () => {
    const pod = podOf(['a', 'b'], { volumes: [{ name: 'v', image: { reference: 'c' } }] })

    expect(rewriting(pod, 'z')).toEqual([
      { op: 'add', path: '/spec/containers/0/image', value: 'z' },
      { op: 'add', path: '/spec/containers/1/image', value: 'z' },
      { op: 'add', path: '/spec/volumes/0/image/reference', value: 'z' },
    ])
  })

  it('returns an empty patch if nothing changes', () => {
    expect(rewriting(podOf(['a']), 'a')).toEqual([])
  })

  it.each([
    [
      'no annotations',
      {},
      { op: 'add', path: '/metadata/annotations', value: { 'berth.dev/images': 'x' } },
    ],
    [
      'null annotations',
      { annotations: null },
      { op: 'add', path: '/metadata/annotations', value: { 'berth.dev/images': 'x' } },
    ],
    [
      'other annotations',
      { annotations: { 'a/b~c': '1' } },
      { op: 'add', path: '/metadata/annotations/berth.dev~1images', value: 'x' },
    ],
  ])('adds the annotation to %s', (_, metadata, operation) => {
    expect(
      buildPatch({ metadata }, { ...nothing, annotation: { key: 'berth.dev/images', value: 'x' } }),
    ).toEqual([operation])
  })

  it('does not write an annotation that has the value', () => {
    const pod = { metadata: { annotations: { 'berth.dev/images': 'x' } } }

    expect(
      buildPatch(pod, { ...nothing, annotation: { key: 'berth.dev/images', value: 'x' } }),
    ).toEqual([])
  })

  it.each([
    ['none', {}, { op: 'add', path: '/spec/imagePullSecrets', value: [{ name: 'ours' }] }],
    [
      'null',
      { imagePullSecrets: null },
      { op: 'add', path: '/spec/imagePullSecrets', value: [{ name: 'ours' }] },
    ],
    [
      'one',
      { imagePullSecrets: [{ name: 'a' }] },
      { op: 'add', path: '/spec/imagePullSecrets/-', value: { name: 'ours' } },
    ],
  ])('appends a pull secret to a list with %s', (_, spec, operation) => {
    expect(buildPatch({ spec }, { ...nothing, pullSecrets: ['ours'] })).toEqual([operation])
  })

  it('returns a patch that applies to any pod, and changes nothing else', () => {
    const json = fc.jsonValue({ maxDepth: 3 })
    const container = fc.record(
      { name: fc.string(), image: fc.string({ minLength: 1 }) },
      { requiredKeys: ['image'] },
    )
    const pods = fc.record({
      metadata: fc.record(
        { annotations: fc.option(fc.dictionary(fc.string(), fc.string())) },
        { requiredKeys: [] },
      ),
      spec: fc.record(
        {
          containers: fc.array(container),
          initContainers: fc.array(container),
          imagePullSecrets: fc.option(fc.array(fc.record({ name: fc.string() }))),
          more: json,
        },
        { requiredKeys: ['containers'] },
      ),
      status: json,
    })
    fc.assert(
      fc.property(pods, (raw) => {
        const pod: unknown = JSON.parse(JSON.stringify(raw))
        const sites = findSites(pod).map((site) => ({ site, image: 'new', pullPolicy: 'Always' }))
        const patch = buildPatch(pod, {
          sites,
          annotation: { key: 'berth.dev/images', value: 'x' },
          pullSecrets: ['s'],
        })
        const after = applyPatch(pod, patch)
        expect(findSites(after).map(({ image, pullPolicy }) => [image, pullPolicy])).toEqual(
          sites.map(() => ['new', 'Always']),
        )
        expect(withoutPatched(after)).toEqual(withoutPatched(pod))
      }),
      runs(1_000),
    )
  })
})

/** Removes every value that the patch above may change. */
function withoutPatched(pod: unknown): unknown {
  return JSON.parse(
    JSON.stringify(pod, (key, value: unknown) =>
      ['image', 'imagePullPolicy', 'annotations', 'imagePullSecrets'].includes(key)
        ? undefined
        : value,
    ),
  )
}

describe('roomForAnnotation', () => {
  it('returns what the other annotations leave of the limit of the API server', () => {
    const pod = {
      metadata: { annotations: { a: 'x'.repeat(256 * 1024 - 100), 'berth.dev/images': 'old' } },
    }

    expect(roomForAnnotation(pod, 'berth.dev/images')).toBe(
      100 - 'a'.length - 'berth.dev/images'.length,
    )
  })
})
