import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const workflows = globSync('.github/workflows/*.yml', { cwd: root })

interface Workflow {
  readonly permissions: Readonly<Record<string, string>>
  readonly concurrency: { readonly group: string }
  readonly jobs: Readonly<
    Record<string, { 'timeout-minutes': number; steps: readonly { readonly run?: string }[] }>
  >
}

describe.each(workflows)('%s', (file) => {
  const workflow = parse(read(file)) as Workflow

  it('pins every action to a commit, with the version as a comment', () => {
    // `./` is the action of this repository.
    const actions = read(file).match(/(?<=uses: )(?!\.\/$).*$/gm) ?? []

    expect(actions.length).toBeGreaterThan(0)
    expect(
      actions.filter((each) => !/^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(each)),
    ).toEqual([])
  })

  it('grants no write permission to the whole workflow', () => {
    expect(Object.values(workflow.permissions)).not.toContain('write')
  })

  it('limits concurrent runs and the time of every job', () => {
    expect(workflow.concurrency.group).toContain('github.ref')
    expect(
      Object.values(workflow.jobs).filter((job) => job['timeout-minutes'] === undefined),
    ).toEqual([])
  })

  it('runs only npm scripts that package.json has', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
    const commands = Object.values(workflow.jobs)
      .flatMap(({ steps }) => steps.map(({ run = '' }) => run))
      .join('\n')
    const names = [...commands.matchAll(/npm (?:run ([\w:-]+)|(test))/g)].map(
      ([, script, test]) => script ?? test ?? '',
    )

    expect(names.length).toBeGreaterThan(0)
    expect(names.filter((name) => !(name in scripts))).toEqual([])
  })
})

describe('.github/workflows/release.yml', () => {
  const { jobs } = parse(read('.github/workflows/release.yml')) as {
    jobs: Record<string, { permissions: Record<string, string>; needs?: string }>
  }

  it('gives each right to one job, after the tests', () => {
    const rights = Object.entries(jobs).map(([name, { permissions }]) => [name, permissions])

    expect(Object.fromEntries(rights)).toEqual({
      test: { contents: 'read' },
      release: { contents: 'read', packages: 'write', 'id-token': 'write' },
      publish: { contents: 'write' },
    })
    expect([jobs['release']?.needs, jobs['publish']?.needs]).toEqual(['test', 'release'])
  })
})

describe('.ci/run', () => {
  it('runs what the CI workflow runs', () => {
    const commands = (file: string) =>
      new Set(
        read(file)
          .replaceAll(/^ *#.*$/gm, '')
          .match(/npm (?:test|run [\w:-]+)/g),
      )

    expect(commands('.ci/run')).toEqual(commands('.github/workflows/ci.yml'))
  })
})

describe('.github/renovate.json', () => {
  const { customManagers } = JSON.parse(read('.github/renovate.json')) as {
    customManagers: readonly {
      readonly managerFilePatterns: readonly string[]
      readonly matchStrings: readonly string[]
    }[]
  }

  it.each([
    ['sigs.k8s.io/kind', /^v\d+\.\d+\.\d+$/],
    ['github.com/rhysd/actionlint', /^v\d+\.\d+\.\d+$/],
  ])('finds the version of %s', (name, version) => {
    const files = globSync(['.github/workflows/*.yml', '{e2e,tools}/**/*.ts'], { cwd: root })
    const found = customManagers.flatMap(({ managerFilePatterns, matchStrings }) =>
      files
        .filter((file) =>
          managerFilePatterns.some((pattern) => new RegExp(pattern.slice(1, -1)).test(file)),
        )
        .flatMap((file) =>
          matchStrings.flatMap((each) => [...read(file).matchAll(new RegExp(each, 'g'))]),
        )
        .map(({ groups }) => ({ ...groups })),
    )

    expect(found).toContainEqual(
      expect.objectContaining({ depName: name, currentValue: expect.stringMatching(version) }),
    )
  })
})
