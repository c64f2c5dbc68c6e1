/** Builds tables of any length, and images that their rows match. */
import type { Config } from '../../src/config/config.ts'
import { readConfig } from '../../src/config/load.ts'
import { type PodContext, podInNamespace } from '../../src/decision/fallback/pod-context.ts'
import { mirrorHost } from './reviews.ts'

/** A kind of table, by the patterns of its rows. */
export interface RowShape {
  readonly name: string
  readonly pattern: (row: number) => string
  /** An image that only row `row` matches. */
  readonly image: (row: number) => string
  /** The condition of a row, as in a config. Left out: the rows are for all pods. */
  readonly when?: (row: number) => object
  /** Returns a new pod that only row `row` matches. */
  readonly pod?: (row: number) => PodContext
}

/** Typical rows: whole hosts, teams of a host, single images. */
export const ordinaryRows: RowShape = {
  name: 'hosts, teams and single images',
  pattern: (row) =>
    [
      `registry-${row}.example.com/**`,
      `docker.io/team-${row}/*`,
      `ghcr.io/acme/app-${row}`,
      `quay.io/team-${row}/**`,
    ][row % 4] ?? '',
  image: (row) =>
    [
      `registry-${row}.example.com/team/app`,
      `team-${row}/app`,
      `ghcr.io/acme/app-${row}`,
      `quay.io/team-${row}/tools/app`,
    ][row % 4] ?? '',
}

/** The worst case: rows that share the host and begin with a wildcard. */
export const wildcardRows: RowShape = {
  name: 'a wildcard first, one host',
  pattern: (row) => `docker.io/*/app-${row}`,
  image: (row) => `team/app-${row}`,
}

/** Rows that differ only next to a wildcard. */
export const affixRows: RowShape = {
  name: 'a wildcard after a name, one team',
  pattern: (row) => `docker.io/team/app-${row}-*`,
  image: (row) => `team/app-${row}-api`,
}

/** Rows with a path of any depth before one literal segment. */
export const tailRows: RowShape = {
  name: 'any path before a name',
  pattern: (row) => `docker.io/**/app-${row}`,
  image: (row) => `team/deep/app-${row}`,
}

/** Rows for all images of some pods: of a namespace, of namespaces with a prefix, with a label, or with an owner. The names are short, because a config has at most 1 MiB. */
export const conditionalRows: RowShape = {
  name: 'one image, each row for other pods',
  pattern: () => '**',
  image: () => 'team/app',
  when: (row) =>
    [
      { namespaces: [`t-${row}`] },
      { namespaces: [`t-${row}-*`] },
      { pods: { matchLabels: { app: `a-${row}` } } },
      { owners: [`t-${row}.io/Cluster`] },
    ][row % 4] ?? {},
  pod: (row) => ({
    namespace: row % 4 === 1 ? `t-${row}-a` : `t-${row}`,
    labels: { app: `a-${row}`, 'pod-template-hash': '6d4cf56db6', tier: 'web' },
    owners: [`t-${row}.io/Cluster`],
  }),
}

export function patternsOf({ pattern }: RowShape, rows: number): string[] {
  return Array.from({ length: rows }, (_, row) => pattern(row))
}

/** The parsed config with these rows. */
export function configWith(shape: RowShape, rows: number, registryUrl: string): Config {
  const lines = Array.from({ length: rows }, (_, row) => `  - { ${rowText(shape, row)} }`)
  const text = `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: '${mirrorHost}', endpoint: '${registryUrl}', mirror: true }]
fallback:
${lines.join('\n')}
pin: { tags: [latest] }
`
  const result = readConfig(text, '.')
  if (result.ok) return result.config
  throw new Error(result.problems.map(({ message }) => message).join('\n'))
}

/** A row with a condition is for all images. */
function rowText({ pattern, when }: RowShape, row: number): string {
  const matches =
    when === undefined ? `images: ['${pattern(row)}']` : `when: ${JSON.stringify(when(row))}`
  return `name: row-${row}, ${matches}, try: ['${mirrorHost}/{host}/{path}']`
}

/** An image in a pod that only one row of a table matches. */
export interface SpreadImage {
  readonly image: string
  /** Returns a new pod, as each review has one. */
  readonly pod: () => PodContext
}

/** This many images, spread evenly over the rows of a table, including the first and the last row. */
export function spreadImages(shape: RowShape, rows: number, count: number): SpreadImage[] {
  const { image, pod = () => podInNamespace('team') } = shape
  return Array.from({ length: count }, (_, index) => {
    const row = Math.round((index * (rows - 1)) / Math.max(1, count - 1))
    return { image: image(row), pod: () => pod(row) }
  })
}
