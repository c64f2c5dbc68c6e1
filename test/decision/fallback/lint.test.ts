import { describe, expect, it } from 'vitest'
import { lintTable } from '../../../src/decision/fallback/lint.ts'
import { selectCandidates } from '../../../src/decision/fallback/table.ts'
import {
  anubis,
  barePod,
  freeipa,
  referenceOf,
  type RowInput,
  tableOf,
} from '../../support/tables.ts'

function findings(mirrors: readonly string[], ...rows: RowInput[]) {
  return lintTable(tableOf(mirrors, rows)).map(
    ({ severity, row, key, message }) => `${severity} ${row} ${key} ${message}`,
  )
}

describe('loops', () => {
  it.each([
    [
      'adds a second prefix to an image on the mirror',
      { name: 'a', images: ['m.example/**'], try: ['m.example/{host}/{path}'] },
    ],
    [
      'moves an image on the mirror to another path',
      { name: 'a', images: ['m.example/**'], try: ['m.example/x/{path}'] },
    ],
  ])('are an error for a row that %s', (_, row) => {
    expect(findings(['m.example'], row)).toEqual([
      expect.stringMatching(/^error 0 try the template makes images that row a rewrites again/),
    ])
  })

  it('are an error for two rows that move images between two mirrors', () => {
    const found = findings(
      ['m.example', 'n.example'],
      { name: 'a', images: ['m.example/**'], try: ['n.example/{path}'] },
      { name: 'b', images: ['n.example/**'], try: ['m.example/{path}'] },
    )

    expect(found.filter((each) => each.startsWith('error'))).toHaveLength(2)
  })

  it('are not reported for a row that keeps images on the mirror', () => {
    expect(lintTable(anubis).filter(({ severity }) => severity === 'error')).toEqual([])
    expect(lintTable(freeipa)).toEqual([])
  })

  it('are absent if the first candidate of each candidate on a mirror is itself', () => {
    for (const image of ['nginx', 'ghcr.io/a/b', 'anubis:32000/x']) {
      for (const { kind, reference, image: made } of selectCandidates(
        anubis,
        referenceOf(image),
        barePod,
      ).candidates) {
        if (kind !== 'mirror' || reference === null) continue
        expect(selectCandidates(anubis, reference, barePod).candidates[0]?.image).toBe(made)
      }
    }
  })
})

describe('collisions', () => {
  it('are reported with both rows for two upstreams in a flat layout', () => {
    expect(lintTable(anubis).map(({ row, message }) => `${row} ${message}`)).toContainEqual(
      expect.stringMatching(
        /^2 this row and row docker-hub can give images of different registries the same name on anubis:32000/,
      ),
    )
  })

  it('are not reported for a layout with the host in the path', () => {
    const found = findings(
      ['m.example'],
      { name: 'a', images: ['docker.io/**'], try: ['m.example/{host}/{path}', 'docker.io/{path}'] },
      { name: 'b', images: ['ghcr.io/**'], try: ['m.example/{host}/{path}', 'ghcr.io/{path}'] },
    )

    expect(found).toEqual([])
  })

  it('are reported for two single repositories with the same name', () => {
    const found = findings(
      ['m.example'],
      { name: 'a', images: ['docker.io/x/app'], try: ['m.example/{name}'] },
      { name: 'b', images: ['ghcr.io/y/app'], try: ['m.example/{name}'] },
    )

    expect(found).toEqual([expect.stringContaining('row a')])
  })

  it('are reported for two registries in one row', () => {
    expect(
      findings(['m.example'], {
        name: 'a',
        images: ['docker.io/**', 'ghcr.io/**'],
        try: ['m.example/{path}'],
      }),
    ).toEqual([expect.stringContaining('different registries the same name')])
  })

  it('are reported for a single repository and a flat layout', () => {
    const found = findings(
      ['m.example'],
      { name: 'a', images: ['ghcr.io/**'], try: ['m.example/{path}', 'ghcr.io/{path}'] },
      { name: 'b', images: ['docker.io/freeipa/server'], try: ['m.example/{name}'] },
    )

    expect(found).toEqual([expect.stringContaining('row a')])
  })

  it('are reported for a template that drops a part of the path', () => {
    expect(
      findings(['m.example'], { name: 'a', images: ['docker.io/**'], try: ['m.example/{name}'] }),
    ).toEqual([expect.stringContaining('different repositories the same name')])
  })
})

describe('rows without effect', () => {
  it.each([
    [['docker.io/**'], ['docker.io/library/nginx']],
    [['**'], ['ghcr.io/**']],
    [['docker.io/library/*'], ['docker.io/library/nginx']],
    [['ghcr.io/a'], ['ghcr.io/a']],
  ])('are reported for %j before %j', (first, second) => {
    const found = findings(
      [],
      { name: 'a', images: first, try: ['{host}/{path}'] },
      { name: 'b', images: second, try: ['{host}/{path}'] },
    )

    expect(found).toContainEqual(expect.stringContaining('the pattern is never used: row a'))
  })

  it('do not include a row for a mirror after `**`, which does not match images on mirrors', () => {
    const found = findings(
      ['m.example'],
      { name: 'a', images: ['**'], try: ['m.example/{host}/{path}', '{host}/{path}'] },
      { name: 'b', images: ['m.example/**'], leave: true },
    )

    expect(found).toEqual([])
  })

  it.each(['{host}/{path}', 'docker.io/{path}'])(
    'include a row whose only candidate is the original: %s; the message names `leave`',
    (template) => {
      const row = { name: 'a', images: ['docker.io/**'], try: [template] }

      expect(findings([], row)).toEqual([
        expect.stringMatching(/^warning 0 try .* write `leave: true` in place of `try`/),
      ])
      expect(findings([], { ...row, pin: 'off' })).toEqual([])
      expect(findings([], { ...row, try: [template, 'quay.io/x'], alternates: 'digest' })).toEqual(
        [],
      )
    },
  )

  it('include `otherwise` if the last candidate is the original', () => {
    expect(
      findings([], {
        name: 'a',
        images: ['docker.io/**'],
        try: ['docker.io/{path}'],
        otherwise: 'deny',
      }),
    ).toEqual([expect.stringContaining('`otherwise` has no effect')])
  })
})

describe('alternates', () => {
  it('cause a warning for each pattern with a whole host', () => {
    expect(
      findings([], {
        name: 'a',
        images: ['docker.io/**', 'ghcr.io/**'],
        try: ['docker.io/{path}'],
      }),
    ).toEqual([expect.stringContaining('for every image of ghcr.io/**')])
  })

  it('cause no warning with alternates: digest', () => {
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
