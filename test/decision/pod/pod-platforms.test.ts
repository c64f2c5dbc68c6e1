import { describe, expect, it } from 'vitest'
import { readPodPlatforms, requiredAffinityKey } from '../../../src/decision/pod/pod-platforms.ts'

const arch = 'kubernetes.io/arch'
const oneOf = (key: string, ...values: unknown[]) => ({ key, operator: 'In', values })
const terms = (...all: object[][]) => ({
  affinity: {
    nodeAffinity: {
      [requiredAffinityKey]: {
        nodeSelectorTerms: all.map((matchExpressions) => ({ matchExpressions })),
      },
    },
  },
})

describe('a pod asks for the platforms', () => {
  it.each([
    ['of its node selector', { nodeSelector: { [arch]: 'arm64' } }, ['linux/arm64']],
    ['of the old label', { nodeSelector: { 'beta.kubernetes.io/arch': 'arm64' } }, ['linux/arm64']],
    [
      'of its operating system',
      { nodeSelector: { [arch]: 'amd64', 'kubernetes.io/os': 'windows' } },
      ['windows/amd64'],
    ],
    [
      'of spec.os',
      { nodeSelector: { [arch]: 'amd64' }, os: { name: 'windows' } },
      ['windows/amd64'],
    ],
    [
      'that many terms name',
      terms(...Array.from({ length: 9 }, () => [oneOf(arch, 'amd64')])),
      ['linux/amd64'],
    ],
    [
      'of its required affinity, sorted',
      terms([oneOf(arch, 'arm64', 'amd64')]),
      ['linux/amd64', 'linux/arm64'],
    ],
    [
      'of every term',
      terms([oneOf(arch, 'arm64'), oneOf('zone', 'a')], [oneOf(arch, 'amd64')]),
      ['linux/amd64', 'linux/arm64'],
    ],
    [
      'that the selector and the affinity have in common',
      { nodeSelector: { [arch]: 'arm64' }, ...terms([oneOf(arch, 'arm64', 'amd64')]) },
      ['linux/arm64'],
    ],
    [
      'that the expressions of a term have in common',
      terms([oneOf(arch, 'arm64', 'amd64'), oneOf(arch, 'amd64', 's390x')]),
      ['linux/amd64'],
    ],
  ])('%s', (_, spec, platforms) => {
    expect(readPodPlatforms({ spec })).toEqual(platforms)
  })

  it.each([
    ['it names none', {}],
    ['a term names none', terms([oneOf(arch, 'arm64')], [oneOf('zone', 'a')])],
    ['it only excludes one', terms([{ key: arch, operator: 'NotIn', values: ['arm64'] }])],
    ['it names only the operating system', { nodeSelector: { 'kubernetes.io/os': 'linux' } }],
    ['no node can match', { nodeSelector: { [arch]: 'a' }, ...terms([oneOf(arch, 'b')]) }],
    ['the name is not a platform', { nodeSelector: { [arch]: 'a b' } }],
    ['the name is not text', { nodeSelector: { [arch]: 1 } }],
    ['the values are not text', terms([oneOf(arch, 1, null)])],
    ['it names more than a cluster has', terms([oneOf(arch, ...'abcdefghi')])],
    [
      'it has more values than a pod has',
      terms([oneOf(arch, ...Array.from({ length: 33 }, (_, at) => `a${at}`))]),
    ],
    [
      'it has more expressions than a pod has',
      terms(Array.from({ length: 21 }, () => oneOf(arch, 'arm64'))),
    ],
    ['the terms are not a list', { affinity: { nodeAffinity: { [requiredAffinityKey]: 'x' } } }],
    [
      'there are more terms than a pod has',
      terms(...Array.from({ length: 101 }, () => [oneOf(arch, 'arm64')])),
    ],
  ])('never, if %s', (_, spec) => {
    expect(readPodPlatforms({ spec })).toEqual([])
  })
})

it('takes no longer for a pod with hundreds of thousands of values', () => {
  const values = Array.from({ length: 200_000 }, (_, at) => `a${at}`)
  const many = { key: arch, operator: 'In', values }
  const spec = terms([many, many, oneOf(arch, 'arm64')])

  // Comparing the values would take minutes.
  expect(readPodPlatforms({ spec })).toEqual(['linux/arm64'])
})
