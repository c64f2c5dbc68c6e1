import { describe, expect, it } from 'vitest'
import { selectCandidates } from '../../../src/decision/fallback/table.ts'
import { anubis, barePod, freeipa, referenceOf, tableOf } from '../../support/tables.ts'

const digest = `sha256:${'a'.repeat(64)}`

function candidates(
  table: Parameters<typeof selectCandidates>[0],
  image: string,
  namespace = 'default',
) {
  const pod = { ...barePod, namespace }
  const { row, candidates: made } = selectCandidates(table, referenceOf(image), pod)
  return { row: row?.name ?? null, tries: made.map((each) => `${each.kind} ${each.image}`) }
}

describe('selectCandidates', () => {
  it.each([
    [
      'nginx',
      'docker-hub',
      ['mirror anubis:32000/library/nginx:latest', 'original docker.io/library/nginx:latest'],
    ],
    [
      'docker.io/nginx:1.27',
      'docker-hub',
      ['mirror anubis:32000/library/nginx:1.27', 'original docker.io/library/nginx:1.27'],
    ],
    [
      'index.docker.io/library/nginx',
      'docker-hub',
      ['mirror anubis:32000/library/nginx:latest', 'original docker.io/library/nginx:latest'],
    ],
    [
      'registry-1.docker.io/library/nginx:latest',
      'docker-hub',
      ['mirror anubis:32000/library/nginx:latest', 'original docker.io/library/nginx:latest'],
    ],
    [
      'team/x',
      'docker-hub',
      ['mirror anubis:32000/team/x:latest', 'original docker.io/team/x:latest'],
    ],
    ['ghcr.io/a/b:1', 'ghcr', ['mirror anubis:32000/a/b:1', 'original ghcr.io/a/b:1']],
    [
      'anubis:32000/ushadow-backend',
      'local-builds',
      [
        'original anubis:32000/ushadow-backend:latest',
        'alternate ghcr.io/your-org/ushadow-backend:latest',
        'alternate docker.io/library/ushadow-backend:latest',
      ],
    ],
    ['quay.io/x/y', null, []],
    ['ghcr.io.example/x', null, []],
    [
      'anubis/x',
      'docker-hub',
      ['mirror anubis:32000/anubis/x:latest', 'original docker.io/anubis/x:latest'],
    ],
    ['foo_bar.com/x', null, []],
    ['DOCKER.IO/x', null, []],
    [
      `nginx:1@${digest}`,
      'docker-hub',
      [
        `mirror anubis:32000/library/nginx:1@${digest}`,
        `original docker.io/library/nginx:1@${digest}`,
      ],
    ],
    [
      `nginx@${digest}`,
      'docker-hub',
      [`mirror anubis:32000/library/nginx@${digest}`, `original docker.io/library/nginx@${digest}`],
    ],
  ])('returns the row and the candidates for %s: %s', (image, row, tries) => {
    expect(candidates(anubis, image)).toEqual({ row, tries })
  })
})

describe('tags of candidates', () => {
  it.each([
    [
      'freeipa/freeipa-server',
      [
        'mirror localhost:5000/freeipa-server:almalinux-9',
        'alternate quay.io/freeipa/freeipa-server:almalinux-9',
      ],
    ],
    [
      'freeipa/freeipa-server:fedora-39',
      [
        'mirror localhost:5000/freeipa-server:fedora-39',
        'alternate quay.io/freeipa/freeipa-server:fedora-39',
      ],
    ],
    [
      `freeipa/freeipa-server:latest@${digest}`,
      [
        `mirror localhost:5000/freeipa-server:latest@${digest}`,
        `alternate quay.io/freeipa/freeipa-server:latest@${digest}`,
      ],
    ],
  ])('are those of %s, mapped if there is no digest', (image, tries) => {
    expect(candidates(freeipa, image).tries).toEqual(tries)
  })
})

describe('rows', () => {
  it('match in order, by whole segments', () => {
    const table = tableOf(
      [],
      [
        { name: 'one', images: ['ghcr.io/a/*'], try: ['m.example/{path}'] },
        { name: 'two', images: ['ghcr.io/a*/**'], try: ['m.example/{path}'] },
      ],
    )

    expect(
      ['ghcr.io/a/x', 'ghcr.io/ab/x', 'ghcr.io/a/x/y', 'ghcr.io/b/x'].map(
        (image) => candidates(table, image).row,
      ),
    ).toEqual(['one', 'two', 'two', null])
  })

  it('with a wildcard host do not match images on a mirror', () => {
    const table = tableOf(
      ['m.example'],
      [{ name: 'all', images: ['**'], try: ['m.example/{host}/{path}', '{host}/{path}'] }],
    )

    expect(candidates(table, 'ghcr.io/a/b:1').tries).toEqual([
      'mirror m.example/ghcr.io/a/b:1',
      'original ghcr.io/a/b:1',
    ])
    expect(candidates(table, 'm.example/ghcr.io/a/b:1').row).toBeNull()
  })

  it("fill in the pod's namespace and the last path segment", () => {
    const table = tableOf(
      ['m.example'],
      [{ name: 'ns', images: ['quay.io/**'], try: ['m.example/{namespace}/{name}'] }],
    )

    expect(candidates(table, 'quay.io/a/b/c:2', 'team-a').tries).toEqual([
      'mirror m.example/team-a/c:2',
    ])
  })

  it('return a candidate with an error if the template makes an invalid image', () => {
    const table = tableOf(
      ['m.example'],
      [{ name: 'host', images: ['**'], try: ['m.example/{host}/{path}'] }],
    )
    const [withPort] = selectCandidates(
      table,
      referenceOf('b.example:5000/x:1'),
      barePod,
    ).candidates
    const [tooLong] = selectCandidates(
      table,
      referenceOf(`b.example/${'x'.repeat(250)}`),
      barePod,
    ).candidates

    expect([withPort?.reference, withPort?.image]).toEqual([null, 'm.example/b.example:5000/x:1'])
    expect(tooLong?.error).toContain('characters')
  })

  it('treat an alias of Docker Hub as Docker Hub', () => {
    const table = tableOf(
      [],
      [{ name: 'hub', images: ['docker.io/**'], try: ['registry-1.docker.io/{path}'] }],
    )

    expect(candidates(table, 'nginx').tries).toEqual(['original docker.io/library/nginx:latest'])
  })

  it('return each image once', () => {
    const table = tableOf(
      ['m.example'],
      [{ name: 'twice', images: ['m.example/**'], try: ['m.example/{path}', '{host}/{path}'] }],
    )

    expect(candidates(table, 'm.example/x:1').tries).toEqual(['original m.example/x:1'])
  })
})
