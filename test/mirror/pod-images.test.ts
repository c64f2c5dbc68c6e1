import { describe, expect, it } from 'vitest'
import { imagesOfPod } from '../../src/mirror/pod-images.ts'

describe('imagesOfPod', () => {
  it('returns the images that the pod asked for before it was rewritten', () => {
    const to = 'a:1/library/nginx:latest'
    const records = [{ site: 'containers/a', from: 'nginx', to, row: null, why: '' }]
    const containers = [
      { name: 'a', image: to },
      { name: 'b', image: 'redis' },
    ]
    const annotations = { 'berth.dev/images': JSON.stringify(records) }

    expect(imagesOfPod({ metadata: { annotations }, spec: { containers } })).toEqual([
      'nginx',
      'redis',
    ])
  })
})
