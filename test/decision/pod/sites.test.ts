import { describe, expect, it } from 'vitest'
import {
  changedSitesOf,
  findSites,
  isMirrorPod,
  sitesByName,
} from '../../../src/decision/pod/sites.ts'
import { podOf } from '../../support/reviews.ts'

describe('findSites', () => {
  it('returns init containers, containers, debug containers and image volumes', () => {
    const pod = podOf(['a'], {
      initContainers: [{ name: 'i', image: 'b', restartPolicy: 'Always' }],
      ephemeralContainers: [{ name: 'e', image: 'c' }],
      volumes: [
        { name: 'v', image: { reference: 'd', pullPolicy: 'Always' } },
        { name: 'w', emptyDir: {} },
      ],
    })

    expect(findSites(pod).map(({ name, image, pullPolicy }) => [name, image, pullPolicy])).toEqual([
      ['initContainers/i', 'b', undefined],
      ['containers/c0', 'a', undefined],
      ['ephemeralContainers/e', 'c', undefined],
      ['volumes/v', 'd', 'Always'],
    ])
  })

  it.each([
    null,
    [],
    'pod',
    {},
    { spec: null },
    { spec: { containers: null } },
    { spec: { containers: {} } },
    { spec: { containers: [null, 1, 'x', [], { image: 1 }, { image: '' }, {}] } },
    { spec: { volumes: [{ image: 'x' }, { image: { reference: 5 } }] } },
  ])('returns no site for %j', (pod) => {
    expect(findSites(pod)).toEqual([])
  })

  it('ignores inherited properties', () => {
    const pod = JSON.parse(
      '{"__proto__":{"spec":{"containers":[{"name":"x","image":"evil"}]}}}',
    ) as unknown

    expect(findSites(pod)).toEqual([])
  })
})

describe('changedSitesOf', () => {
  const changedSites = (pod: unknown, oldPod: unknown) => [
    ...changedSitesOf(pod, sitesByName(oldPod)),
  ]

  it('returns only sites with a new image', () => {
    const old = podOf(['a', 'b'])

    expect(changedSites(podOf(['a', 'b']), old)).toEqual([])
    expect(changedSites(podOf(['a', 'c']), old).map(({ name }) => name)).toEqual(['containers/c1'])
  })

  it('returns a new debug container', () => {
    const old = podOf(['a'], { ephemeralContainers: [{ name: 'one', image: 'b' }] })
    const now = podOf(['a'], {
      ephemeralContainers: [
        { name: 'one', image: 'b' },
        { name: 'two', image: 'b' },
      ],
    })

    expect(changedSites(now, old).map(({ name }) => name)).toEqual(['ephemeralContainers/two'])
  })
})

describe('isMirrorPod', () => {
  it('returns true for a pod with the annotation of a mirror pod', () => {
    const pod = { metadata: { annotations: { 'kubernetes.io/config.mirror': 'x' } } }

    expect([isMirrorPod(pod), isMirrorPod(podOf(['a']))]).toEqual([true, false])
  })
})
