import { describe, expect, it } from 'vitest'
import { compilePattern } from '../../../src/decision/fallback/image-pattern.ts'
import { createTable, selectCandidates } from '../../../src/decision/fallback/table.ts'
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
    ['ghcr.io:443/a/b:1', 'ghcr', ['mirror anubis:32000/a/b:1', 'original ghcr.io/a/b:1']],
    [
      'ANUBIS:032000/x',
      'local-builds',
      [
        'original anubis:32000/x:latest',
        'alternate ghcr.io/your-org/x:latest',
        'alternate docker.io/library/x:latest',
      ],
    ],
    ['ghcr.io:444/a/b', null, []],
    ['ghcr.io:80/a/b', null, []],
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

  it.each(['DOCKER.IO/x', 'docker.io:443/x', 'Docker.io:0443/x', 'REGISTRY-1.docker.io:443/x'])(
    'returns the row of Docker Hub for %s',
    (image) => {
      expect(candidates(anubis, image)).toEqual(candidates(anubis, 'docker.io/x'))
    },
  )
})

describe('a table whose hosts have default ports', () => {
  const table = tableOf(
    ['m.example:443'],
    [
      { name: 'own', images: ['m.example:443/**'], try: ['m.example:443/{path}'] },
      { name: 'wide', images: ['*.Example:443/**'], try: ['m.example:443/{host}/{path}'] },
    ],
  )

  it.each([
    ['m.example/x:1', 'own', ['original m.example:443/x:1']],
    ['m.example:443/x:1', 'own', ['original m.example:443/x:1']],
    ['a.example/x:1', 'wide', ['mirror m.example:443/a.example/x:1']],
    ['a.example:5000/x:1', null, []],
  ])(
    'returns the row and the candidates for %s, as the config writes them',
    (image, row, tries) => {
      expect(candidates(table, image)).toEqual({ row, tries })
    },
  )
})

describe('a host that nodes reach over plain HTTP', () => {
  const table = createTable(
    tableOf([], [{ name: 'own', images: ['p.example/**'], try: ['p.example/{path}'] }]).rows,
    ['p.example'],
    { isPlainHttp: (host) => host === 'p.example' },
  )

  it.each([
    ['p.example/x', 'own'],
    ['P.EXAMPLE:080/x', 'own'],
    ['p.example:443/x', null],
  ])('has the default port 80: %s', (image, row) => {
    expect(candidates(table, image).row).toBe(row)
  })
})

describe('a row that matches every image', () => {
  const denying = (pattern: string) =>
    tableOf(
      [],
      [
        { name: 'hub', images: ['docker.io/**'], try: ['docker.io/{path}'] },
        { name: 'closed', images: [pattern], try: ['m.example/{path}'], otherwise: 'deny' },
      ],
    )

  it.each([
    ['**', 'closed'],
    ['*/**', 'closed'],
    ['**/*', 'closed'],
    ['**/**', 'closed'],
    ['*/*', null],
    ['*/*/**', null],
    ['*.example/**', null],
    ['docker.io/**', null],
    ['foo_bar.com/x', null],
  ])('denies an image without a valid host, if its pattern is %s', (pattern, row) => {
    const compiled = compilePattern(pattern)
    const table = compiled.ok ? denying(pattern) : denying('*.example/**')

    expect(candidates(table, 'foo_bar.com/x')).toEqual({ row, tries: [] })
  })

  const closed = {
    name: 'closed',
    images: ['**'],
    try: ['m.example/{path}'],
    otherwise: 'deny',
  } as const

  it('does not deny if an earlier one keeps such images', () => {
    const table = tableOf([], [{ name: 'open', images: ['**'], try: ['{host}/{path}'] }, closed])

    expect(candidates(table, 'foo_bar.com/x').row).toBeNull()
  })

  it('leaves an image without a valid host unchanged if it leaves its images', () => {
    const table = tableOf([], [{ name: 'left', leave: true }, closed])

    expect(candidates(table, 'foo_bar.com/x').row).toBe('left')
  })

  it('denies an image without a valid host only in the pods that it is for', () => {
    const table = tableOf([], [{ ...closed, when: { namespaces: ['team-*'] } }])

    expect(candidates(table, 'foo_bar.com/x', 'team-a').row).toBe('closed')
    expect(candidates(table, 'foo_bar.com/x', 'kube-system').row).toBeNull()
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
    const [tooLong] = selectCandidates(
      table,
      referenceOf(`b.example/${'x'.repeat(250)}`),
      barePod,
    ).candidates

    expect([tooLong?.reference, tooLong?.error]).toEqual([
      null,
      expect.stringContaining('characters'),
    ])
  })

  it.each([
    ['{host}/{path}', 'registry.corp:5000/x/y', 'registry.corp-5000/x/y'],
    ['{host}/{path}', 'localhost:5000/x', 'localhost-5000/x'],
    ['{host}/{path}', 'Registry.Corp:05000/x', 'registry.corp-5000/x'],
    ['{host}/{path}', '[FD00::1]:5000/x', 'fd00--1-5000/x'],
    ['all/{host}/{name}', 'ghcr.io/a/b/c', 'all/ghcr.io/c'],
    ['{rest}', 'ghcr.io/a/b/c', 'b/c'],
    ['{rest}', 'nginx', 'nginx'],
    ['{flat}', 'ghcr.io/a/b/c', 'a-b-c'],
    ['{host}-{flat}', 'registry.corp:5000/a/b', 'registry.corp-5000-a-b'],
  ])('make of m.example:1/%s and %s the image m.example:1/%s', (template, image, path) => {
    const row = { name: 'all', images: ['**'], try: [`m.example:1/${template}`] }

    expect(candidates(tableOf(['m.example:1'], [row]), `${image}:2`).tries).toEqual([
      `mirror m.example:1/${path}:2`,
    ])
  })

  it('keep the host of the image as it is where a template begins with {host}', () => {
    const table = tableOf(
      [],
      [{ name: 'all', images: ['**'], try: ['{host}/{host}/{path}', '{host}/{path}'] }],
    )

    expect(candidates(table, 'registry.corp:5000/x:1').tries).toEqual([
      'alternate registry.corp:5000/registry.corp-5000/x:1',
      'original registry.corp:5000/x:1',
    ])
  })

  it('return a candidate with an error if {rest} is empty', () => {
    const table = tableOf(
      ['m.example'],
      [{ name: 'rest', images: ['ghcr.io/**'], try: ['m.example/a{rest}'] }],
    )
    const [candidate] = selectCandidates(table, referenceOf('ghcr.io/app:1'), barePod).candidates

    expect(candidate).toMatchObject({
      reference: null,
      error: 'the path has one segment, so {rest} is empty',
    })
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
