import { describe, expect, it } from 'vitest'
import { lintTable } from '../../../src/decision/fallback/lint.ts'
import { selectCandidates } from '../../../src/decision/fallback/table.ts'
import { anubis, freeipa, referenceOf, type RowInput, tableOf } from '../../support/tables.ts'

function findings(mirrors: readonly string[], ...rows: RowInput[]) {
  return lintTable(tableOf(mirrors, rows)).map(
    ({ severity, row, part, message }) => `${severity} ${row} ${part} ${message}`,
  )
}

describe('loops (R-48)', () => {
  it.each([
    [
      'a prefix before a prefix',
      { name: 'a', images: ['m.example/**'], try: ['m.example/{host}/{path}'] },
    ],
    [
      'one mirror to a path of its own',
      { name: 'a', images: ['m.example/**'], try: ['m.example/x/{path}'] },
    ],
  ])('%s is an error', (_, row) => {
    expect(findings(['m.example'], row)).toEqual([
      expect.stringMatching(/^error 0 try makes names that row a rewrites again/),
    ])
  })

  it('over two mirrors are an error', () => {
    const found = findings(
      ['m.example', 'n.example'],
      { name: 'a', images: ['m.example/**'], try: ['n.example/{path}'] },
      { name: 'b', images: ['n.example/**'], try: ['m.example/{path}'] },
    )

    expect(found.filter((each) => each.startsWith('error'))).toHaveLength(2)
  })

  it('do not arise from a mirror that keeps its own images first', () => {
    expect(lintTable(anubis).filter(({ severity }) => severity === 'error')).toEqual([])
    expect(lintTable(freeipa)).toEqual([])
  })

  it('are found wherever a candidate on a mirror would move again, and nowhere else', () => {
    // The property behind the rule: the first candidate of a candidate on a mirror is that candidate.
    for (const image of ['nginx', 'ghcr.io/a/b', 'anubis:32000/x']) {
      for (const { kind, reference, image: made } of selectCandidates(
        anubis,
        referenceOf(image),
        'default',
      ).candidates) {
        if (kind !== 'mirror' || reference === null) continue
        expect(selectCandidates(anubis, reference, 'default').candidates[0]?.image).toBe(made)
      }
    }
  })
})

describe('collisions (R-46)', () => {
  it('of a flat layout with two upstreams name both rows', () => {
    expect(lintTable(anubis).map(({ row, message }) => `${row} ${message}`)).toContainEqual(
      expect.stringMatching(
        /^2 and row docker-hub can bring images of different registries to one path on anubis:32000/,
      ),
    )
  })

  it('do not arise in a layout with the host in the path', () => {
    const found = findings(
      ['m.example'],
      { name: 'a', images: ['docker.io/**'], try: ['m.example/{host}/{path}', 'docker.io/{path}'] },
      { name: 'b', images: ['ghcr.io/**'], try: ['m.example/{host}/{path}', 'ghcr.io/{path}'] },
    )

    expect(found).toEqual([])
  })

  it('of two literal rows on one path are found', () => {
    const found = findings(
      ['m.example'],
      { name: 'a', images: ['docker.io/x/app'], try: ['m.example/{name}'] },
      { name: 'b', images: ['ghcr.io/y/app'], try: ['m.example/{name}'] },
    )

    expect(found).toEqual([expect.stringContaining('row a')])
  })

  it('of two registries in one row are found', () => {
    expect(
      findings(['m.example'], {
        name: 'a',
        images: ['docker.io/**', 'ghcr.io/**'],
        try: ['m.example/{path}'],
      }),
    ).toEqual([expect.stringContaining('different registries to one path')])
  })

  it('of one repository with a flat layout are found', () => {
    const found = findings(
      ['m.example'],
      { name: 'a', images: ['ghcr.io/**'], try: ['m.example/{path}', 'ghcr.io/{path}'] },
      { name: 'b', images: ['docker.io/freeipa/server'], try: ['m.example/{name}'] },
    )

    expect(found).toEqual([expect.stringContaining('row a')])
  })

  it('within a row are found, where the template drops what tells names apart', () => {
    expect(
      findings(['m.example'], { name: 'a', images: ['docker.io/**'], try: ['m.example/{name}'] }),
    ).toEqual([expect.stringContaining('different repositories to one path')])
  })
})

describe('rows that do nothing', () => {
  it.each([
    [['docker.io/**'], ['docker.io/library/nginx']],
    [['**'], ['ghcr.io/**']],
    [['docker.io/library/*'], ['docker.io/library/nginx']],
    [['ghcr.io/a'], ['ghcr.io/a']],
  ])('%j before %j is found', (first, second) => {
    const found = findings(
      [],
      { name: 'a', images: first, try: ['{host}/{path}'] },
      { name: 'b', images: second, try: ['{host}/{path}'] },
    )

    expect(found).toContainEqual(expect.stringContaining('is never reached: row a'))
  })

  it('are not those of a mirror behind `**`, which has no say about mirrors', () => {
    const found = findings(
      ['m.example'],
      { name: 'a', images: ['**'], try: ['m.example/{host}/{path}', '{host}/{path}'] },
      { name: 'b', images: ['m.example/**'], try: ['{host}/{path}'] },
    )

    expect(found).toEqual([])
  })

  it('say that `otherwise` never happens when the original is tried', () => {
    expect(
      findings([], {
        name: 'a',
        images: ['docker.io/**'],
        try: ['docker.io/{path}'],
        otherwise: 'deny',
      }),
    ).toEqual([expect.stringContaining('never happens')])
  })
})

describe('alternates (R-45)', () => {
  it('for any whole host of the row are warned of', () => {
    expect(
      findings([], {
        name: 'a',
        images: ['docker.io/**', 'ghcr.io/**'],
        try: ['docker.io/{path}'],
      }),
    ).toEqual([expect.stringContaining('for every image of ghcr.io/**')])
  })

  it('for a whole host are warned of, unless digests are compared', () => {
    const row = {
      name: 'a',
      images: ['docker.io/**'],
      try: ['ghcr.io/acme/{path}', 'docker.io/{path}'],
    }

    expect(findings([], row)).toEqual([
      expect.stringContaining("another publisher's copy for every image"),
    ])
    expect(findings([], { ...row, alternates: 'digest' })).toEqual([])
  })
})
