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

function reportOn(...images: string[]) {
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
  const report = await reportOn(...images, `${source.host}/flat/app:1`, 'quay.io/flat/app:1')

  expect(report.images.map(({ image, state }) => [image.replace(mirror.host, 'm'), state])).toEqual(
    [
      ['m/app/broken:1', 'denied'],
      ['m/app/gone:1', 'absent'],
      ['m/app/missing:1', 'waiting'],
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
