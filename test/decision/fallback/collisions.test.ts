import { describe, expect, it } from 'vitest'
import { compilePattern } from '../../../src/decision/fallback/image-pattern.ts'
import { lintTable } from '../../../src/decision/fallback/lint.ts'
import { canonicalReference } from '../../../src/decision/fallback/registry-aliases.ts'
import { selectCandidates } from '../../../src/decision/fallback/table.ts'
import { repositoryName } from '../../../src/decision/reference/reference.ts'
import { fc, runs } from '../../support/fast-check.ts'
import { barePod, referenceOf, type RowInput, tableOf } from '../../support/tables.ts'

const mirror = 'm.example'

function collisionsOf(rows: readonly RowInput[], hosts: readonly string[] = []): string[] {
  return lintTable(tableOf([mirror], rows), hosts)
    .map(({ message }) => message)
    .filter((message) => /same name|too many patterns/.test(message))
}

function collisionsOfRow(images: readonly string[], template: string, hosts?: readonly string[]) {
  return collisionsOf([{ name: 'a', images, try: [`${mirror}/${template}`] }], hosts)
}

describe('collisions in one row', () => {
  it.each([
    [['docker.io/bitnami/*'], 'bitnami/{name}'],
    [['docker.io/bitnami/**'], '{rest}'],
    [['docker.io/library/?*'], '{name}'],
    [['ghcr.io/acme/*', 'ghcr.io/acme/tools/app'], '{rest}'],
    [['docker.io/bitnami/*'], '{flat}'],
    [['docker.io/**', 'ghcr.io/**'], '{host}/{path}'],
    [['docker.io/**'], '{rest}/{flat}'],
    [['r.corp:5000/a/**', 'r.corp-5000/b/**'], '{host}/{path}'],
    [['docker.io/*', 'ghcr.io/acme'].slice(1), '{name}'],
  ])('are not reported for %j and m.example/%s', (images, template) => {
    expect(collisionsOfRow(images, template)).toEqual([])
  })

  it.each([
    [['docker.io/**'], '{name}', 'repositories', /\(docker\.io\/\S+ and docker\.io\/\S+\)/],
    [['docker.io/a*/x', 'docker.io/*b/x'], '{name}', 'repositories', /\/x and docker.io\/\S+\/x\)/],
    [['docker.io/**'], '{flat}', 'repositories', /\(docker\.io\/\S+-\S+ and docker\.io\/\S+\)/],
    [['docker.io/foo/*', 'docker.io/foo-bar/*'], '{flat}', 'repositories', /docker.io\/foo-bar\//],
    [['docker.io/*/*/app'], '{rest}', 'repositories', /docker.io/],
    [['docker.io/a/x', 'docker.io/b/x'], '{name}', 'repositories', /a\/x and docker.io\/b\/x/],
    [['docker.io/*/app', 'ghcr.io/acme/*'], '{path}', 'registries', /acme\/app and ghcr/],
    [['**'], '{path}', 'registries', /\(/],
  ])('are reported with two images for %j and m.example/%s', (images, template, kind, example) => {
    const [message] = collisionsOfRow(images, template)

    expect(message).toContain(`images of different ${kind} the same name`)
    expect(message).toMatch(example)
  })

  it.each([
    [['r.corp:5000/**', 'r.corp-5000/**'], []],
    [['*.corp:5000/**', '*.corp-5000/**'], []],
    [['**'], ['r.corp:5000', 'R.corp-5000']],
    [['*.corp:5000/**', 'r.corp-5000/x'], []],
    [['[fd00::1]:5000/**', '[fd00::1:5000]/**'], []],
  ])('are reported for %j and the registries %j, which have the same {host}', (images, hosts) => {
    const [message] = collisionsOfRow(images, '{host}/{path}', hosts)

    expect(message).toContain('both hosts have the same {host} in a path')
  })

  it('are not reported for registries that have the same {host} but no row', () => {
    const hosts = ['r.corp:5000', 'r.corp-5000']

    expect(collisionsOfRow(['ghcr.io/**'], '{host}/{path}', hosts)).toEqual([])
    expect(collisionsOfRow(['r.corp:5000/**'], '{host}/{path}', hosts)).toEqual([])
  })

  it('are undecided for too many patterns, and the message says so', () => {
    const images = Array.from({ length: 400 }, (_, index) => `docker.io/a${index}/*-x-*`)

    expect(
      lintTable(tableOf([mirror], [{ name: 'a', images, try: [`${mirror}/{flat}`] }])),
    ).toEqual([expect.objectContaining({ message: expect.stringContaining('too many patterns') })])
  })
})

describe('rows with patterns that take many steps to compare', () => {
  it('are undecided after a limited number of characters, not of states', () => {
    const any = (length: number) => '[0-9a-z]'.repeat(length)
    const rows = [0, 1, 2, 3, 4, 5].map((index) => ({
      name: `row-${index}`,
      images: [`h${index}.example/**/*${any(26)}0*`, `h${index}.example/**/*${any(25)}1*[_]`],
      try: [`${mirror}/{name}`],
    }))

    expect(collisionsOf(rows)).toEqual([expect.stringContaining('too many patterns')])
  })
})

describe('a template with several variables in one segment', () => {
  it.each([
    [['r.corp/**', 'r.corp:5000/**'], '{host}-{path}'],
    [['r.corp/x/app', 'r.corp:5000/**'], '{host}-{path}'],
    [['*.corp/app'], '{host}-{path}'],
    [['quay.io/org/*'], '{namespace}-{name}'],
    [['quay.io/org/app', 'quay.io/org/x-app'], '{namespace}-{name}'],
    [['quay.io/*/*'], '{name}-{flat}'],
    [['r.corp/5000-x', 'r.corp:5000/x'], 'a/{host}-{path}'],
  ])('is reported for %j and m.example/%s', (images, template) => {
    expect(collisionsOfRow(images, template)).toEqual([
      expect.stringContaining('cannot prove that no two images get the same name'),
    ])
  })

  it.each([
    [['docker.io/acme/*', 'ghcr.io/acme/*', 'r.corp:5000/infra/*'], '{host}-{flat}'],
    [['r.corp/**', 'r.corp:5000/**'], '{path}-{host}'],
    [['r.corp/**', 'r.corp:5000/**'], 'x-{host}/{path}'],
    [['r.corp:5000/**'], '{host}-{path}'],
    [['quay.io/org/app'], '{namespace}-{name}'],
    [['quay.io/org/app', 'quay.io/org/x-app'], '{name}-{flat}'],
    [['quay.io/org/**'], '{namespace}/{path}'],
  ])('is not reported for %j and m.example/%s, which keep images apart', (images, template) => {
    expect(collisionsOfRow(images, template)).toEqual([])
  })
})

describe('collisions of two templates of a row', () => {
  const collisionsOfTemplates = (images: readonly string[], ...templates: string[]) =>
    collisionsOf([{ name: 'a', images, try: templates.map((each) => `${mirror}/${each}`) }])

  it.each([
    [['quay.io/**'], '{path}', 'library/{path}', /m\.example\/library\//],
    [['quay.io/a/x', 'quay.io/a/y-x'], '{path}', 'a/y-{name}', /m\.example\/a\/y-x/],
    [['quay.io/a/x', 'quay.io/a/y-*'], '{path}', 'a/y-{name}', /m\.example\/a\/y-x/],
    [['quay.io/a/x', 'ghcr.io/b/y'], '{path}', 'b/{name}', null],
    [['quay.io/a/x', 'quay.io/b/y'], '{path}', 'b/{name}', null],
  ])('are decided for %j, %s and %s', (images, one, other, name) => {
    const messages = collisionsOfTemplates(images, one, other)

    if (name === null) expect(messages).toEqual([])
    else expect(messages).toEqual(expect.arrayContaining([expect.stringMatching(name)]))
  })

  it.each([
    [['docker.io/**'], 'hub/{path}', 'cache/{path}'],
    [['docker.io/**', 'ghcr.io/**'], '{host}/{path}', 'cache/{host}/{path}'],
    [['docker.io/acme/**'], '{path}', 'acme/{rest}'],
    [['docker.io/library/*'], '{path}', '{name}'],
    [['docker.io/library/*'], '{path}', 'library/{name}'],
  ])('are not reported for %j, %s and %s', (images, one, other) => {
    expect(collisionsOfTemplates(images, one, other)).toEqual([])
  })

  it('are decided for thousands of repositories', () => {
    const images = Array.from({ length: 3_000 }, (_, index) => `docker.io/user/app${index}`)

    expect(collisionsOfTemplates(images, '{path}', 'copies/{name}')).toEqual([])
    expect(collisionsOfTemplates(images, '{path}', 'user/app1{name}')).toEqual([])
  })
})

describe('collisions of two rows', () => {
  const rowsOf = (one: string, first: string, other: string, second: string): RowInput[] => [
    { name: 'one', images: [one], try: [`${mirror}/${first}`] },
    { name: 'other', images: [other], try: [`${mirror}/${second}`] },
  ]

  it.each([
    ['docker.io/a/*', '{name}', 'docker.io/b/*', '{name}', 'repositories'],
    ['docker.io/a/x', '{name}', 'docker.io/b/x', '{name}', 'repositories'],
    ['docker.io/a/x', '{name}', 'docker.io/b/*', '{name}', 'repositories'],
    ['docker.io/a/*', '{name}', 'docker.io/b/x', '{name}', 'repositories'],
    ['docker.io/a/*', '{rest}', 'ghcr.io/b/**', '{rest}', 'registries'],
    ['docker.io/a/*', '{flat}', 'docker.io/a-b/*', '{flat}', 'repositories'],
    ['ghcr.io/**', '{host}/{path}', 'docker.io/**', 'ghcr.io/{path}', 'registries'],
    ['r.corp:5000/**', '{host}/{path}', 'r.corp-5000/**', '{host}/{path}', 'registries'],
  ])('are reported for %s → %s and %s → %s', (one, first, other, second, kind) => {
    expect(collisionsOf(rowsOf(one, first, other, second))).toEqual([
      expect.stringContaining(`this row and row one can give images of different ${kind}`),
    ])
  })

  it.each([
    ['docker.io/a/*', '{name}', 'docker.io/b/*', 'b/{name}'],
    ['docker.io/bitnami/*', '{rest}', 'docker.io/bitnami/**', '{rest}'],
    ['r.corp:5000/a/**', '{host}/{path}', 'r.corp-5000/b/**', '{host}/{path}'],
  ])('are not reported for %s → %s and %s → %s', (one, first, other, second) => {
    expect(collisionsOf(rowsOf(one, first, other, second))).toEqual([])
  })
})

describe('a table with thousands of rows', () => {
  it('is compared completely if each row is for one repository', () => {
    const rows = Array.from({ length: 3_000 }, (_, index) => ({
      name: `row-${index}`,
      images: [`docker.io/user/app${index}`],
      try: [`${mirror}/{name}`],
    }))
    const last = { name: 'last', images: ['docker.io/other/app7'], try: [`${mirror}/{name}`] }

    expect(collisionsOf(rows)).toEqual([])
    expect(collisionsOf([...rows, last])).toEqual([
      expect.stringContaining('this row and row row-7 can give images'),
    ])
  })
})

/** All images of these registries whose paths have up to three of these components. */
const hosts = ['r.a:1', 'r.a-1', 'x.a', 'docker.io']
const components = ['a', 'b', 'a-b', 'b-a', 'a-b-a']
const paths = components.flatMap((one) => [
  one,
  ...components.flatMap((two) => [
    `${one}/${two}`,
    ...components.map((three) => `${one}/${two}/${three}`),
  ]),
])
const universe = hosts.flatMap((host) =>
  paths
    .filter((path) => host !== 'docker.io' || path.includes('/'))
    .map((path) => canonicalReference(referenceOf(`${host}/${path}`))),
)

const segment = fc.constantFrom('a', 'b', 'a-b', '*', '**', '?', 'a*', '*-a', '[ab]', '[^a]', 'a-?')
const host = fc.constantFrom(...hosts, '*.a', 'r.a*', '**')
const pattern = fc
  .tuple(host, fc.array(segment, { minLength: 1, maxLength: 3 }))
  .map(([first, rest]) => [first, ...rest].join('/'))
  .filter((text) => compilePattern(text).ok)
const template = fc.constantFrom(
  '{path}',
  '{name}',
  '{rest}',
  '{flat}',
  'fixed',
  '{flat}/{name}',
  '{rest}/{flat}',
  '{host}/{path}',
  '{host}/{name}',
  '{host}/{rest}',
  'x/{host}/{flat}',
  '{name}/{host}',
  '{host}-{path}',
  '{host}-{flat}',
  '{rest}-{host}',
  '{name}-{path}',
)

describe('the collision check', () => {
  it(
    'reports a row exactly if two images that it matches become one',
    { timeout: 3_600_000 },
    () => {
      fc.assert(
        fc.property(fc.array(pattern, { minLength: 1, maxLength: 3 }), template, (images, text) => {
          const row = { name: 'a', images, try: [`${mirror}/${text}`] }
          const table = tableOf([mirror], [row])
          const nameOf = (reference: ReturnType<typeof referenceOf>) => {
            const [candidate] = selectCandidates(table, reference, barePod).candidates
            const made = candidate?.reference ?? null
            return made === null ? null : repositoryName(made)
          }
          const [message] = collisionsOf([row], hosts)
          const named = universe.map(nameOf).filter((name) => name !== null)
          if (new Set(named).size < named.length) expect(message).toBeDefined()
          if (message === undefined || /too many patterns|cannot prove/.test(message)) return
          const [, one = '', other = ''] = /\((\S+) and (\S+)\)/.exec(message) ?? []
          expect(one).not.toBe(other)
          expect(nameOf(referenceOf(one))).not.toBeNull()
          expect(nameOf(referenceOf(one))).toBe(nameOf(referenceOf(other)))
        }),
        runs(300),
      )
    },
  )

  it(
    'reports a row if two templates give different images that it matches the same name',
    { timeout: 3_600_000 },
    () => {
      const images = fc.array(pattern, { minLength: 1, maxLength: 2 })
      const other = fc.oneof(template, fc.constantFrom('a/{path}', 'a/{name}', 'b/a-{rest}'))
      fc.assert(
        fc.property(images, other, other, (matched, one, two) => {
          const row = {
            name: 'a',
            images: matched,
            try: [one, two].map((text) => `${mirror}/${text}`),
          }
          const table = tableOf([mirror], [row])
          const imageByName = new Map<string, string>()
          const isShared = universe.some((image) =>
            selectCandidates(table, image, barePod).candidates.some(({ reference }) => {
              if (reference === null) return false
              const name = repositoryName(reference)
              const first = imageByName.get(name) ?? repositoryName(image)
              imageByName.set(name, first)
              return first !== repositoryName(image)
            }),
          )
          if (isShared) expect(collisionsOf([row], hosts)).not.toEqual([])
        }),
        runs(300),
      )
    },
  )
})
