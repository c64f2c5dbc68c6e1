import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const { version } = JSON.parse(read('package.json')) as { version: string }

describe('the version of package.json', () => {
  it('is the version of the lock file, the chart and the Helm plugin', () => {
    const lock = JSON.parse(read('package-lock.json')) as {
      version: string
      packages: Record<string, { version?: string }>
    }

    expect(lock.version).toBe(version)
    expect(lock.packages['']?.version).toBe(version)
    expect(parse(read('deploy/chart/Chart.yaml'))).toMatchObject({ version, appVersion: version })
    expect(parse(read('deploy/helm-plugin/plugin.yaml'))).toMatchObject({ version })
  })

  it('is the version of the image and the changes in the annotations of the chart', () => {
    const { annotations } = parse(read('deploy/chart/Chart.yaml')) as {
      annotations: Record<string, string>
    }
    const list = (name: string) => parse(annotations[`artifacthub.io/${name}`] ?? '') as unknown[]
    const kinds = ['added', 'changed', 'deprecated', 'removed', 'fixed', 'security']
    const changes = list('changes') as { kind: string; description: string }[]

    expect(list('images')).toMatchObject([{ image: `berth.invalid/berth:${version}` }])
    expect(changes.length).toBeGreaterThan(0)
    expect(changes.every((each) => kinds.includes(each.kind) && each.description !== '')).toBe(true)
    // Write the changes of a new version, and then its number here.
    expect(version).toBe('0.2.0')
    for (const text of Object.values(annotations)) expect(typeof text).toBe('string')
  })

  it('has a section with a date in the changelog, which is the newest version', () => {
    const [newest] = read('CHANGELOG.md').match(/(?<=^## \[)\d.*/m) ?? []

    expect(newest).toMatch(
      new RegExp(`^${version.replaceAll('.', '\\.')}\\] - \\d{4}-\\d\\d-\\d\\d$`),
    )
  })

  it('is the tag of every image of Berth in manifests, documentation and help', () => {
    // Fixtures of older versions keep theirs, and tests of releases make versions up.
    const files = globSync(
      ['*.md', 'deploy/Dockerfile', '{deploy,docs,e2e,src,test}/**/*.{md,ts,yaml,tpl}'],
      { cwd: root, exclude: ['**/fixtures/**', 'test/release/**'] },
    )
    const tags = files.flatMap((file) =>
      [...read(file).matchAll(/\bberth(?::|, newTag: |, tag: )(\d+\.\d+\.\d+)/g)].map(
        ([, tag]) => ({
          file,
          tag,
        }),
      ),
    )

    expect(tags.length).toBeGreaterThan(15)
    expect(tags.filter(({ tag }) => tag !== version)).toEqual([])
  })
})
