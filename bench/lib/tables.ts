/** Builds tables of any length, and images that their rows match. */
import type { Config } from '../../src/config/config.ts'
import { readConfig } from '../../src/config/load.ts'
import { mirrorHost } from './reviews.ts'

/** A kind of table, by the patterns of its rows. */
export interface RowShape {
  readonly name: string
  readonly pattern: (row: number) => string
  /** An image that only row `row` matches. */
  readonly image: (row: number) => string
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

/** Rows with a path of any depth before one literal segment. */
export const tailRows: RowShape = {
  name: 'any path before a name',
  pattern: (row) => `docker.io/**/app-${row}`,
  image: (row) => `team/deep/app-${row}`,
}

export function patternsOf({ pattern }: RowShape, rows: number): string[] {
  return Array.from({ length: rows }, (_, row) => pattern(row))
}

/** The parsed config with these rows. */
export function configWith(shape: RowShape, rows: number, registryUrl: string): Config {
  const lines = patternsOf(shape, rows).map(
    (pattern, row) =>
      `  - { name: row-${row}, images: ['${pattern}'], try: ['${mirrorHost}/{host}/{path}'] }`,
  )
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

/** This many images, spread evenly over the rows of a table, including the first and the last row. */
export function spreadImages({ image }: RowShape, rows: number, count: number): string[] {
  return Array.from({ length: count }, (_, index) =>
    image(Math.round((index * (rows - 1)) / Math.max(1, count - 1))),
  )
}
