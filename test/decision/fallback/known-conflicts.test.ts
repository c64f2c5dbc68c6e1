import { describe, expect, it } from 'vitest'
import type { PodContext } from '../../../src/decision/fallback/pod-context.ts'
import { unknownPod } from '../../../src/decision/fallback/pod-context.ts'
import { selectRow, tablePodKey } from '../../../src/decision/fallback/table.ts'
import { barePod, referenceOf, type RowInput, tableOf } from '../../support/tables.ts'

const databases: RowInput = {
  name: 'known:databases',
  when: { owners: ['db.example/Cluster'] },
  leave: true,
  isKnownConflict: true,
}
const labelled: RowInput = {
  name: 'known:labelled',
  when: {
    owners: ['apps/StatefulSet'],
    pods: { matchLabels: { app: 'db' }, matchExpressions: [] },
  },
  leave: true,
  isKnownConflict: true,
}
const database = { ...barePod, owners: ['db.example/Cluster'] }
const set = { ...barePod, owners: ['apps/StatefulSet'] }
const hub: RowInput = { name: 'hub', images: ['**'], try: ['anubis:32000/{host}/{path}'] }

function rowFor(own: readonly RowInput[], pod: PodContext, image = 'nginx:1') {
  const table = tableOf(['anubis:32000'], own, [databases, labelled])
  const { row, undecided } = selectRow(table, referenceOf(image), pod)
  return [row?.name ?? null, ...undecided.map(({ name }) => name)]
}

describe('the row of a detected conflict', () => {
  const inConflict = { ...database, isInConflict: true }

  it('leaves the images of the pod, where otherwise a row of the config or none decides', () => {
    expect(rowFor([hub], { ...set, isInConflict: true })).toEqual(['detected:image-conflict'])
    expect(rowFor([], { ...set, isInConflict: true })).toEqual(['detected:image-conflict'])
    expect(rowFor([hub], set)).toEqual(['hub'])
  })

  it('applies to images on a mirror', () => {
    const pod = { ...set, isInConflict: true }

    expect(rowFor([hub], pod, 'anubis:32000/x:1')).toEqual(['detected:image-conflict'])
  })

  it('comes before a row that names the owner, because that row caused the conflict', () => {
    const own = { ...hub, name: 'own', when: { owners: ['db.example/Cluster'] } }

    expect(rowFor([own, hub], database)).toEqual(['own'])
    expect(rowFor([own, hub], inConflict)).toEqual(['detected:image-conflict'])
  })

  it('gives way to the list of known conflicts', () => {
    expect(rowFor([hub], inConflict)).toEqual(['known:databases'])
  })

  it.each([
    ['denies pods', { ...hub, otherwise: 'deny' } as const],
    ['must pin', { ...hub, pin: { matches: null, unresolved: 'deny' } } as const],
    ['leaves its images, which settles the conflict', { name: 'own', leave: true } as const],
  ])('gives way to a row that %s', (_, own) => {
    expect(rowFor([own], { ...set, isInConflict: true })).toEqual([own.name])
  })

  it('gives its pods another key in the caches of commands', () => {
    const table = tableOf([], [hub])

    expect(tablePodKey(table, inConflict)).not.toBe(tablePodKey(table, database))
  })
})

describe('rows of known conflicts', () => {
  it.each([
    ['come before a row for all pods', database, 'known:databases'],
    ['apply by label and owner together', { ...set, labels: { app: 'db' } }, 'known:labelled'],
    ['do not apply to the owner without the label', set, 'hub'],
    ['do not apply to another kind of the group', { ...barePod, owners: ['db.example/X'] }, 'hub'],
    ['do not apply to bare pods', barePod, 'hub'],
    ['do not apply, and are not reported, if nothing is known of the pod', unknownPod, 'hub'],
  ])('%s', (_, pod, row) => {
    expect(rowFor([hub], pod)).toEqual([row])
  })

  it('apply to images on a mirror, and without a row of the config', () => {
    expect(rowFor([hub], database, 'anubis:32000/x:1')).toEqual(['known:databases'])
    expect(rowFor([], database)).toEqual(['known:databases'])
  })

  it.each([
    ['names the owner', { ...hub, when: { owners: ['db.example/Cluster'] } }],
    ['names the group of the owner', { ...hub, when: { owners: ['db.example/*'] } }],
    ['leaves its images', { name: 'own', leave: true } as const],
    ['denies pods', { ...hub, otherwise: 'deny' } as const],
    ['must pin', { ...hub, pin: { matches: null, unresolved: 'deny' } } as const],
  ])('give way to a row that %s', (_, own) => {
    expect(rowFor([own], database)).toEqual([own.name])
  })

  it.each([
    ['names a namespace only', { ...hub, when: { namespaces: ['default'] } }],
    ['only inherits the pin of the config', { ...hub, pin: 'off' } as const],
  ])('do not give way to a row that %s', (_, own) => {
    expect(rowFor([own], database)).toEqual(['known:databases'])
  })

  it('with labels give way to a row with one of the labels, but not to one with only the owner', () => {
    const pod = { ...set, labels: { app: 'db' } }
    const byLabel: RowInput = {
      ...hub,
      when: {
        pods: {
          matchLabels: {},
          matchExpressions: [{ key: 'app', operator: 'Exists', values: [] }],
        },
      },
    }

    expect(rowFor([byLabel], pod)).toEqual(['hub'])
    expect(rowFor([{ ...hub, when: { owners: ['apps/StatefulSet'] } }], pod)).toEqual([
      'known:labelled',
    ])
  })

  it('come before a row that names the owner, if another row would be selected', () => {
    const own = { ...hub, name: 'own', when: { owners: ['db.example/Cluster'] } }

    expect(rowFor([hub, own], database)).toEqual(['known:databases'])
  })
})
