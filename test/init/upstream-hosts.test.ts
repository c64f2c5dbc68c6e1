import { describe, expect, it } from 'vitest'
import { upstreamHosts } from '../../src/init/upstream-hosts.ts'

const read = (images: readonly string[], more: readonly string[] = []) => {
  const { hosts, notes } = upstreamHosts(images, { mirror: 'm.corp', more })
  return { hosts: hosts.map(({ host }) => host), notes }
}

describe('upstreamHosts', () => {
  it.each([
    '169.254.169.254/meta/data:1',
    '169.254.169.254:5000/app:1',
    '0.0.0.0:5000/app:1',
    '[fe80::1]:5000/app:1',
    '224.0.0.1/app:1',
  ])('makes no row for the local address of %s, and says so', (image) => {
    const { hosts, notes } = read([image, 'quay.io/a/b:1'])

    expect(hosts).toEqual(['quay.io'])
    expect(notes).toEqual([
      expect.stringContaining('an address that only its own machine or network segment reaches'),
    ])
  })

  it.each([
    'registry.tools.svc:5000/app:1',
    'image-registry.openshift-image-registry.svc:5000/shop/app:1',
    'registry.tools.svc.cluster.local/app:1',
    'registry.tools.svc.corp.example:5000/app:1',
  ])('makes no row for the Service of %s, unless it is given', (image) => {
    const host = image.split('/')[0] ?? ''
    const left = read([image])

    expect(left.hosts).toEqual([])
    expect(left.notes).toEqual([expect.stringContaining(`${host}: a Service of the cluster`)])
    expect(read([image], [host])).toEqual({ hosts: [host], notes: [] })
  })

  it('makes rows for private addresses and other names', () => {
    const images = [
      '10.0.0.5:5000/a:1',
      '192.168.1.2:32000/a:1',
      'svc.example/a:1',
      'harbor.svcs.io/a:1',
    ]

    expect(read(images)).toEqual({
      hosts: images.map((image) => image.split('/')[0]),
      notes: [],
    })
  })
})
