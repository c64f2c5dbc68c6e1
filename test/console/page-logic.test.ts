import { describe, expect, it } from 'vitest'
import { createFlowCounter, type FlowOptions } from '../../src/console/flow.ts'
import { createEventParser } from '../../src/console/page/event-parser.ts'
import { age, percent, shortDigest } from '../../src/console/page/format.ts'
import { type Selection, selectImages } from '../../src/console/page/image-filter.ts'
import { windowOf } from '../../src/console/page/row-window.ts'
import { readTryForm } from '../../src/console/page/try-form.ts'
import type { ImageRow } from '../../src/console/wire.ts'

const row = (image: string, changes: Partial<ImageRow> = {}): ImageRow => ({
  id: image,
  image,
  namespace: 'shop',
  upstream: 'docker.io',
  sources: ['docker.io'],
  runs: [image],
  pods: 1,
  failing: 0,
  row: 'hub',
  left: false,
  pinned: false,
  onMirror: false,
  mirrored: null,
  becomes: null,
  why: '',
  unprocessed: 0,
  checkedAt: null,
  ...changes,
})

const all: Selection = { search: '', filter: 'all', place: null, sort: 'image', states: null }
const select = (rows: readonly ImageRow[], changes: Partial<Selection>) =>
  selectImages(rows, { ...all, ...changes }).map(({ image }) => image)

describe('selectImages', () => {
  const rows = [
    row('redis:8', { pods: 3, failing: 1 }),
    row('nginx:1', { namespace: 'web', pods: 9, mirrored: false, checkedAt: 1 }),
    row('quay.io/a/b:1', { row: null, upstream: 'quay.io', sources: ['mirror.example'] }),
  ]

  it('finds images that have every word of the search', () => {
    expect(select(rows, { search: 'WEB ngi' })).toEqual(['nginx:1'])
    expect(select(rows, { search: 'web redis' })).toEqual([])
  })

  it('selects by state', () => {
    expect(select(rows, { filter: 'failing' })).toEqual(['redis:8'])
    expect(select(rows, { filter: 'internet' })).toEqual(['nginx:1'])
  })

  it('selects the images that differ from upstream by the last comparison', () => {
    const states = { 'redis:8': 'drifted', 'nginx:1': 'mirrored' } as const

    expect(select(rows, { filter: 'drifted', states })).toEqual(['redis:8'])
    expect(select(rows, { filter: 'drifted' })).toEqual([])
  })

  it.each([
    ['upstream', 'quay.io', ['quay.io/a/b:1']],
    ['row', 'no row', ['quay.io/a/b:1']],
    ['source', 'mirror.example', ['quay.io/a/b:1']],
    ['namespace', 'web', ['nginx:1']],
  ] as const)('selects the images at a node of the column %s', (column, name, images) => {
    expect(select(rows, { place: { column, name } })).toEqual(images)
  })

  it('sorts by the number of pods', () => {
    expect(select(rows, { sort: 'pods' })).toEqual(['nginx:1', 'redis:8', 'quay.io/a/b:1'])
  })

  it('searches 10,000 images within a frame and a half', () => {
    const many = Array.from({ length: 10_000 }, (_, index) => row(`team/app-${index}:1`))
    const times = Array.from({ length: 5 }, () => {
      const started = performance.now()
      select(many, { search: 'app-77' })
      return performance.now() - started
    })

    expect(Math.min(...times)).toBeLessThan(25)
  })
})

describe('windowOf', () => {
  it('returns the rows in view and a margin', () => {
    expect(windowOf({ count: 10_000, rowHeight: 40, top: 4_000, height: 400 })).toEqual({ first: 92, last: 118 }) // prettier-ignore
  })

  it('stays within the table when rows disappear while it is scrolled', () => {
    const { first, last } = windowOf({ count: 5, rowHeight: 40, top: 4_000, height: 400 })

    expect({ first, last }).toEqual({ first: 0, last: 5 })
  })
})

describe('createEventParser', () => {
  it('returns events whose text arrives in pieces', () => {
    const parse = createEventParser()

    expect(parse('event: status\nda')).toEqual([])
    expect(parse('ta: {"a":1}\n\n: \n\nevent: x\n')).toEqual([{ name: 'status', data: '{"a":1}' }])
    expect(parse('data: 2\n\n')).toEqual([{ name: 'x', data: '2' }])
  })
})

describe('readTryForm', () => {
  const form = { image: ' nginx ', namespace: '', labels: '', owner: '', platform: '' }

  it('leaves out what is not known', () => {
    expect(readTryForm(form)).toEqual({ ok: true, question: { image: 'nginx' } })
  })

  it('reads labels, owners and platforms', () => {
    const given = { labels: 'a=b, c=', owner: 'apps/ReplicaSet', platform: 'linux/arm64' }

    expect(readTryForm({ ...form, ...given })).toMatchObject({
      question: {
        labels: { a: 'b', c: '' },
        owners: ['apps/ReplicaSet'],
        platforms: ['linux/arm64'],
      },
    })
    expect(readTryForm({ ...form, owner: 'none' })).toMatchObject({ question: { owners: [] } })
  })

  it.each([{ labels: 'a' }, { labels: '=b' }, { platform: 'arm64' }, { image: ' ' }])(
    'rejects %o',
    (given) => {
      expect(readTryForm({ ...form, ...given }).ok).toBe(false)
    },
  )
})

describe('format', () => {
  it('does not round up to all, nor down to none', () => {
    expect([percent(999, 1_000), percent(1, 1_000), percent(2, 2), percent(0, 0)]).toEqual(['99%', '1%', '100%', '–']) // prettier-ignore
  })

  it('shortens digests and times', () => {
    expect(shortDigest(`a@sha256:${'b'.repeat(64)}`)).toBe('a@sha256:bbbbbbbbbbbb…')
    expect([age(0, 9_000), age(0, 120_000), age(0, 7_200_000)]).toEqual(['9 s', '2 min', '2 h'])
  })
})

describe('createFlowCounter', () => {
  const options: FlowOptions = { stateOf: () => 'ok', isMirror: () => false }

  it('sums up the pods on each link', () => {
    const counter = createFlowCounter()
    const step = { upstream: 'docker.io', row: null, source: 'mirror', namespace: 'shop' }
    counter.add(step)
    counter.add({ ...step, namespace: 'web' })
    const { links } = counter.flow(options)

    expect(links).toContainEqual({ from: 'upstream docker.io', to: 'row no row', pods: 2 })
    expect(links).toContainEqual({ from: 'source mirror', to: 'namespace web', pods: 1 })
  })

  it('joins the smallest nodes of a column into one', () => {
    const counter = createFlowCounter()
    for (let index = 0; index < 20; index += 1)
      for (let pods = 0; pods <= index; pods += 1)
        counter.add({ upstream: 'a', row: 'b', source: 'a', namespace: `n${index}` })
    const { nodes, links } = counter.flow(options)
    const namespaces = nodes.filter(({ column }) => column === 'namespace')

    expect(namespaces).toHaveLength(14)
    expect(namespaces.at(-1)).toMatchObject({ name: '7 others', others: 7 })
    expect(links.find(({ to }) => to === 'namespace *')?.pods).toBe(28)
  })
})
