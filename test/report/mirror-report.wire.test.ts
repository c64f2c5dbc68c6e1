import { afterEach, beforeEach, expect, it } from 'vitest'
import { readConfig } from '../../src/config/load.ts'
import { buildMirrorReport } from '../../src/report/mirror-report.ts'
import { registriesFor } from '../support/mirroring.ts'
import { startStore, type Store } from '../support/store-registry.ts'
import { barePod } from '../support/tables.ts'

let source: Store
let mirror: Store

beforeEach(async () => {
  source = await startStore()
  mirror = await startStore()
})

afterEach(async () => {
  await source.close()
  await mirror.close()
})

function reportOn(images: readonly string[], tryPush = false) {
  const read = readConfig(
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: '${mirror.host}', mirror: true }
  - { host: '${source.host}' }
  - { host: 'quay.io' }
fallback:
  - name: flat
    images: ['${source.host}/flat/*', 'quay.io/flat/*']
    try: ['${mirror.host}/flat/{name}', '{host}/{path}']
  - { name: all, images: ['${source.host}/**'], try: ['${mirror.host}/{path}', '{host}/{path}'] }
`,
    '/',
  )
  if (!read.ok) throw new Error(JSON.stringify(read.problems))
  return buildMirrorReport(
    {
      registries: registriesFor([source.url, mirror.url]),
      table: read.config.table,
      jobs: 2,
      tryPush,
      signal: new AbortController().signal,
    },
    [
      { images, pod: barePod },
      { images: images.slice(0, 1), pod: barePod },
    ],
  )
}

it('has the state of each image that belongs on a mirror', async () => {
  for (const name of ['there', 'missing', 'moved', 'broken']) source.addImage(`app/${name}`, '1')
  source.addImage('flat/app', '1')
  mirror.addImage('app/there', '1')
  mirror.addImage('flat/app', '1')
  mirror.addImage('app/moved', '1', { more: { annotations: { other: 'image' } } })
  mirror.fault(({ path }) => (path.includes('app/broken') ? { status: 403 } : null))
  const names = ['there', 'missing', 'moved', 'gone', 'broken']
  const images = names.map((name) => `${source.host}/app/${name}:1`)
  const report = await reportOn([...images, `${source.host}/flat/app:1`, 'quay.io/flat/app:1'])

  expect(report.images.map(({ image, state }) => [image.replace(mirror.host, 'm'), state])).toEqual(
    [
      ['m/app/broken:1', 'denied'],
      ['m/app/gone:1', 'absent'],
      ['m/app/missing:1', 'missing'],
      ['m/app/moved:1', 'drifted'],
      ['m/app/there:1', 'mirrored'],
      ['m/flat/app:1', 'mirrored'],
      ['m/flat/app:1', 'conflict'],
    ],
  )
  expect(report.images.find(({ state }) => state === 'mirrored')).toEqual({
    image: `${mirror.host}/app/there:1`,
    from: `${source.host}/app/there:1`,
    row: 'all',
    pods: 2,
    state: 'mirrored',
    detail: null,
  })
  expect(report.summary).toMatchObject({ images: 7, mirrored: 2, denied: 1, unreachable: 0 })
})

it('reports `missing` without a test of the mirror, and pushes nothing', async () => {
  source.addImage('app/new', '1')
  const { images, summary } = await reportOn([`${source.host}/app/new:1`])

  expect(images).toMatchObject([
    { state: 'missing', detail: expect.stringContaining('berth_mirror_images') as string },
  ])
  expect(summary).toMatchObject({ missing: 1, waiting: 0 })
  expect(mirror.requests.filter(({ method }) => !['GET', 'HEAD'].includes(method))).toEqual([])
})

it('tries one upload to each repository if asked, and cancels it', async () => {
  source.addImage('app/open', '1')
  source.addImage('app/open', '2')
  source.addImage('app/closed', '1')
  source.addImage('app/read-only', '1')
  source.addImage('app/new', '1')
  mirror.fault(({ method, path }) => {
    if (method !== 'POST') return null
    if (path.includes('app/closed')) return { status: 403, code: 'DENIED' }
    if (path.includes('app/read-only')) return { status: 405, code: 'UNSUPPORTED' }
    return path.includes('app/new') ? { status: 404, code: 'NAME_UNKNOWN' } : null
  })
  const names = ['closed:1', 'new:1', 'open:1', 'open:2', 'read-only:1']
  const { images } = await reportOn(
    names.map((name) => `${source.host}/app/${name}`),
    true,
  )

  expect(images.map(({ image, state }) => [image.replace(mirror.host, 'm'), state])).toEqual([
    ['m/app/closed:1', 'denied'],
    ['m/app/new:1', 'missing'],
    ['m/app/open:1', 'waiting'],
    ['m/app/open:2', 'waiting'],
    // As the controller counts it.
    ['m/app/read-only:1', 'invalid'],
  ])
  expect(images[1]?.detail).toContain('404 NAME_UNKNOWN')
  const paths = mirror.requests.map(({ method, path }) => `${method} ${path}`)
  expect(paths.filter((each) => each === 'POST /v2/app/open/blobs/uploads/')).toHaveLength(1)
  expect(mirror.uploads.size).toBe(0)
})
