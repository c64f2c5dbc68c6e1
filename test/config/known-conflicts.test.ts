import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { compareDecisions, sampleImages } from '../../src/config/compare-decisions.ts'
import { runConfigTests } from '../../src/config/config-tests.ts'
import { type KnownConflict, knownConflicts } from '../../src/config/known-conflicts.ts'
import { readConfig } from '../../src/config/load.ts'
import { describeResolution } from '../../src/decision/resolve/describe-resolution.ts'
import { resolveWithoutProbing } from '../../src/decision/resolve/resolve.ts'
import { barePod, referenceOf } from '../support/tables.ts'

const mirror = `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: anubis:32000, mirror: true }]
fallback: [{ name: all, images: ['**'], try: ['anubis:32000/{host}/{path}', '{host}/{path}'] }]
pin: { tags: ['*'] }
`
const instance = { ...barePod, owners: ['postgresql.cnpg.io/Cluster'] }

function configOf(yaml: string) {
  const result = readConfig(yaml, '/nowhere')
  if (!result.ok) throw new Error(result.problems.map(({ message }) => message).join('\n'))
  return result.config
}

function pageRow({ operator, does, reports, row: { name, when } }: KnownConflict): string {
  const labels = [
    ...Object.entries(when?.pods?.matchLabels ?? {}).map(([key, value]) => `${key}=${value}`),
    ...(when?.pods?.matchExpressions ?? []).map(({ key }) => key),
  ]
  const code = (texts: readonly string[]) => texts.map((text) => `\`${text}\``).join(', ')
  const owners = code(when?.owners ?? [])
  const cells = [
    `\`${name}\``,
    operator,
    labels.length === 0 ? owners : `${owners}; ${code(labels)}`,
    does,
    reports.map(reportLink).join(', '),
  ]
  return `| ${cells.join(' | ')} |`
}

function reportLink(url: string): string {
  const [, project, kind, id] =
    /github\.com\/[^/]+\/([^/]+)\/(issues|pull|blob)\/(.+)$/.exec(url) ?? []
  return kind === 'blob' ? `[source](${url})` : `[${project}#${id}](${url})`
}

describe('knownConflicts', () => {
  it('names each operator once, by the kinds of its owners', () => {
    const rows = knownConflicts().map(({ row }) => row)

    expect(new Set(rows.map(({ name }) => name)).size).toBe(rows.length)
    expect(rows.filter(({ when }) => when?.owners === null)).toEqual([])
    expect(rows.filter(({ leave, try: templates }) => !leave || templates.length > 0)).toEqual([])
  })

  it('is the table of docs/operators.md', () => {
    const page = readFileSync(new URL('../../docs/operators.md', import.meta.url), 'utf8')

    expect(page.split('\n').filter((line) => line.startsWith('| `known:'))).toEqual(
      knownConflicts().map(pageRow),
    )
  })
})

describe('the config key knownConflicts', () => {
  it('leaves the images of known operators by default, and records why', () => {
    const config = configOf(mirror)
    const resolution = resolveWithoutProbing(config, {
      reference: referenceOf('ghcr.io/cloudnative-pg/postgresql:17.2'),
      pod: instance,
    })

    expect(resolution).toMatchObject({
      row: 'known:cloudnative-pg',
      reason: 'known-conflict',
      changed: false,
      pinned: false,
    })
    expect(describeResolution(resolution)).toBe(
      'left unchanged: the operator compares the images of its pods',
    )
  })

  it('is switched off by rewrite', () => {
    const config = configOf(`${mirror}knownConflicts: rewrite\n`)
    const resolution = resolveWithoutProbing(config, {
      reference: referenceOf('nginx:1'),
      pod: instance,
    })

    expect(resolution).toMatchObject({ row: 'all', changed: true })
  })

  it('adds no row and no warning to the config, and applies to its tests', () => {
    const config = configOf(
      `${mirror}tests: [{ image: 'nginx:1', owners: [postgresql.cnpg.io/Cluster], expect: 'nginx:1', row: 'known:cloudnative-pg' }]\n`,
    )

    expect(config.warnings).toEqual([])
    expect(config.table.rows.map(({ name }) => name)).toEqual(['all'])
    expect(runConfigTests(config).map(({ failure }) => failure)).toEqual([null])
  })

  it('is compared by `berth diff` only if it differs', () => {
    const [leave, rewrite] = [configOf(mirror), configOf(`${mirror}knownConflicts: rewrite\n`)]
    const rows = (...configs: readonly (typeof leave)[]) =>
      sampleImages(configs).filter(({ by }) => by.includes('known:'))

    expect(rows(leave, leave)).toEqual([])
    const differences = compareDecisions(leave, rewrite, rows(leave, rewrite))
    expect(differences.map(({ old }) => old.row)).toEqual(
      knownConflicts().map(({ row }) => row.name),
    )
    expect(new Set(differences.map((each) => each.new.row))).toEqual(new Set(['all']))
  })
})
