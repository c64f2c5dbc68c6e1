import { describe, expect, it } from 'vitest'
import { readConfig } from '../../src/config/load.ts'
import { similarTags } from '../../src/mirror/similar-tags.ts'
import { planCopies } from '../../src/mirror/copy-plan.ts'
import { imagesOfPod } from '../../src/mirror/pod-images.ts'
import { selectTags } from '../../src/mirror/select-tags.ts'
import { outdatedImages } from '../../src/mirror/outdated-images.ts'
import { bytesText } from '../../src/text/units.ts'
import { formatReference } from '../../src/decision/reference/reference.ts'
import { reference } from '../support/mirroring.ts'

const table = `
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

function plan(...images: string[]) {
  const read = readConfig(table, '/')
  if (!read.ok) throw new Error(JSON.stringify(read.problems))
  const wanted = images.map((image) => ({ reference: reference(image), namespace: 'default' }))
  const { pairs, skipped } = planCopies(read.config.table, wanted)
  const shown = pairs.map(
    (each) => `${formatReference(each.source)} ${formatReference(each.destination)}`,
  )
  return { pairs: shown, skipped }
}

describe('the table decides where an image goes', () => {
  it('to the first mirror candidate of each mirror, and to no alternate', () => {
    expect(plan('nginx')).toEqual({
      pairs: [
        'docker.io/library/nginx:latest a:1/docker.io/library/nginx:latest',
        'docker.io/library/nginx:latest b:1/docker.io/library/nginx:latest',
      ],
      skipped: [],
    })
  })

  it('under the tag that the row tries', () => {
    expect(plan('freeipa/freeipa-server').pairs).toEqual([
      'docker.io/freeipa/freeipa-server:almalinux-9 a:1/freeipa-server:almalinux-9',
    ])
  })

  it('with a digest as with a tag', () => {
    const digest = `sha256:${'a'.repeat(64)}`

    expect(plan(`nginx:1@${digest}`).pairs[0]).toBe(
      `docker.io/library/nginx:1@${digest} a:1/docker.io/library/nginx:1@${digest}`,
    )
  })

  it('names what it passes over, and why', () => {
    expect(plan('a:1/own:1', 'gcr.io/x/y:1').skipped.map(({ reason }) => reason)).toEqual([
      'stands on a mirror already',
      'no row of the table has a mirror for it',
    ])
  })

  it('never puts two upstreams under one name', () => {
    const { pairs, skipped } = plan('ghcr.io/x/app:1', 'quay.io/x/app:1')

    expect(pairs).toHaveLength(1)
    expect(skipped[0]?.reason).toContain('already goes to')
  })
})

describe('tags', () => {
  const tags = ['1.9.0', '1.10.0', '1.10.0-alpine', 'v1.11', '2.0.0', 'latest', 'nightly-3']
  const all = () => true

  it.each([
    [
      'a glob',
      { matches: (tag: string) => tag.startsWith('nightly'), semver: null, newest: null },
      ['nightly-3'],
    ],
    ['a range', { matches: all, semver: '>=1.9 <2', newest: null }, ['v1.11', '1.10.0', '1.9.0']],
    ['the newest', { matches: all, semver: null, newest: 2 }, ['2.0.0', 'v1.11']],
    ['a range and the newest', { matches: all, semver: '1', newest: 1 }, ['v1.11']],
  ])('by %s', (_, choice, chosen) => {
    expect(selectTags(tags, choice)).toEqual(chosen)
  })

  it('that are like another: added letters count half of changed ones', () => {
    expect(similarTags('1.2', ['9', '1.3', '1.2.1', 'latest'])).toEqual([
      '1.3',
      '1.2.1',
      '9',
      'latest',
    ])
  })
})

describe('a pod', () => {
  it('asks for what it asked for before it was rewritten', () => {
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

  it.each([
    ['pinned to what the mirror serves no longer', `@sha256:${'0'.repeat(64)}`, false, 1],
    ['pinned to what it serves', `@sha256:${'1'.repeat(64)}`, true, 0],
    ['by tag, when the tag has just moved', '', true, 1],
    ['by tag, when it has not', '', false, 0],
  ])('that runs an image %s', (_, digest, isNew, count) => {
    const served = [{ image: reference('a:1/app:1'), digest: `sha256:${'1'.repeat(64)}`, isNew }]
    const pod = { spec: { containers: [{ name: 'a', image: `a:1/app:1${digest}` }] } }

    expect(outdatedImages(pod, served)).toHaveLength(count)
  })
})

describe('bytes', () => {
  it.each([
    [999, '999 B'],
    [1_500, '1.5 kB'],
    [8_388_608, '8.4 MB'],
    [2_147_483_648, '2.1 GB'],
    [120_000_000, '120 MB'],
  ])('%i are %s', (bytes, text) => {
    expect(bytesText(bytes)).toBe(text)
  })
})

describe('the mirror section', () => {
  it.each([
    ["images: [{ image: 'Nginx' }]", 'is not a valid image'],
    ["images: [{ image: 'nginx:1', newest: 2 }]", 'remove one of them'],
    ["images: [{ image: nginx, semver: 'one' }]", 'is not a version range'],
    ["images: [{ image: nginx, tags: ['a b'] }]", 'neither a tag nor a glob'],
  ])('with %s is refused', (section, message) => {
    const read = readConfig(`${table}mirror:\n  ${section}\n`, '/')

    const errors = read.ok ? [] : read.problems.filter(({ severity }) => severity === 'error')
    expect(errors[0]?.message).toContain(message)
    expect(errors[0]?.line).toBe(19)
  })
})
