import { describe, expect, it } from 'vitest'
import { readConfig } from '../../src/config/load.ts'
import { formatReference } from '../../src/decision/reference/reference.ts'
import { planCopies } from '../../src/mirror/copy-plan.ts'
import { findWantedImages } from '../../src/mirror/wanted-images.ts'
import { reference } from '../support/mirroring.ts'
import { barePod } from '../support/tables.ts'

const config = `
apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: 'a:1', mirror: true }
  - { host: 'b:1', mirror: true }
fallback:
  - name: freeipa
    images: [docker.io/freeipa/freeipa-server]
    tags: { latest: almalinux-9 }
    try: ['a:1/{name}', 'quay.io/{path}']
  - name: hub
    images: ['docker.io/**']
    try: ['a:1/{host}/{path}', 'a:1/{path}', 'b:1/{host}/{path}', 'docker.io/{path}']
  - name: flat
    images: ['ghcr.io/x/*', 'quay.io/x/*']
    try: ['a:1/flat/{name}']
`

function configOf(text: string) {
  const read = readConfig(text, '/')
  if (!read.ok) throw new Error(JSON.stringify(read.problems))
  return read.config
}

function plan(...images: string[]) {
  const toCopy = images.map((image) => ({ reference: reference(image), pod: barePod }))
  const { pairs, skipped } = planCopies(configOf(config).table, toCopy)
  const formatted = pairs.map(
    ({ source, destination }) => `${formatReference(source)} ${formatReference(destination)}`,
  )
  return { pairs: formatted, skipped }
}

describe('planCopies', () => {
  it('copies to the first mirror candidate on each mirror, and to no alternate', () => {
    expect(plan('nginx')).toEqual({
      pairs: [
        'docker.io/library/nginx:latest a:1/docker.io/library/nginx:latest',
        'docker.io/library/nginx:latest b:1/docker.io/library/nginx:latest',
      ],
      skipped: [],
    })
  })

  it('copies to no mirror with copy: false, and includes it to compare', () => {
    const withCache = config.replaceAll("'a:1', mirror: true", "'a:1', mirror: true, copy: false")
    const { table } = configOf(withCache)
    const toCopy = ['nginx', 'ghcr.io/x/app'].map((image) => ({
      reference: reference(image),
      pod: barePod,
    }))
    const destinations = ({ pairs }: ReturnType<typeof planCopies>) =>
      pairs.map(({ destination }) => destination.domain)

    expect(destinations(planCopies(table, toCopy))).toEqual(['b:1'])
    expect(planCopies(table, toCopy).skipped).toEqual([
      {
        image: 'ghcr.io/x/app:latest',
        reason: 'a:1 has copy: false, so Berth never pushes to it',
      },
    ])
    expect(destinations(planCopies(table, toCopy, { includeNeverPushed: true }))).toEqual([
      'a:1',
      'b:1',
      'a:1',
    ])
    const pods = [{ images: ['nginx', 'ghcr.io/x/app'], pod: barePod }]
    expect([...findWantedImages(table, pods).wanted.keys()]).toEqual([
      'b:1/docker.io/library/nginx:latest',
    ])
  })

  it('copies the tag that the row tries', () => {
    expect(plan('freeipa/freeipa-server').pairs).toEqual([
      'docker.io/freeipa/freeipa-server:almalinux-9 a:1/freeipa-server:almalinux-9',
    ])
  })

  it('keeps the digest of an image', () => {
    const digest = `sha256:${'a'.repeat(64)}`

    expect(plan(`nginx:1@${digest}`).pairs[0]).toBe(
      `docker.io/library/nginx:1@${digest} a:1/docker.io/library/nginx:1@${digest}`,
    )
  })

  it('gives the reason for each image that it skips', () => {
    expect(plan('a:1/own:1', 'gcr.io/x/y:1').skipped.map(({ reason }) => reason)).toEqual([
      'already on a mirror',
      'no row has a mirror for it',
    ])
  })

  it('copies only the first of two images with the same destination', () => {
    const { pairs, skipped } = plan('ghcr.io/x/app:1', 'quay.io/x/app:1')

    expect(pairs).toHaveLength(1)
    expect(skipped[0]?.reason).toContain('ghcr.io/x/app:1 is already copied to a:1/flat/app:1')
  })
})
