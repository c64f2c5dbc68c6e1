import { describe, expect, it } from 'vitest'
import { outdatedImages } from '../../src/mirror/outdated-images.ts'
import { reference } from '../support/mirroring.ts'

describe('outdatedImages', () => {
  it.each([
    [
      'includes a pinned image that the mirror no longer serves',
      `@sha256:${'0'.repeat(64)}`,
      false,
      1,
    ],
    ['excludes a pinned image that the mirror serves', `@sha256:${'1'.repeat(64)}`, true, 0],
    ['includes a tag that was just copied', '', true, 1],
    ['excludes a tag that was not', '', false, 0],
  ])('%s', (_, digest, isNew, count) => {
    const served = [{ image: reference('a:1/app:1'), digest: `sha256:${'1'.repeat(64)}`, isNew }]
    const pod = { spec: { containers: [{ name: 'a', image: `a:1/app:1${digest}` }] } }

    expect(outdatedImages(pod, served)).toHaveLength(count)
  })
})
