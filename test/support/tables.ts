import { readWhen } from '../../src/config/when.ts'
import type { PodContext } from '../../src/decision/fallback/pod-context.ts'
import { compilePattern } from '../../src/decision/fallback/image-pattern.ts'
import {
  createTable,
  type FallbackRow,
  type FallbackTable,
} from '../../src/decision/fallback/table.ts'
import { compileTemplate } from '../../src/decision/fallback/image-template.ts'
import { parseReference } from '../../src/decision/reference/parse.ts'
import type { Reference } from '../../src/decision/reference/reference.ts'

export interface RowInput {
  readonly name: string
  /** All images if left out. */
  readonly images?: readonly string[]
  readonly when?: Parameters<typeof readWhen>[0]
  readonly leave?: true
  readonly try?: readonly string[]
  readonly tags?: Readonly<Record<string, string>>
  readonly otherwise?: FallbackRow['otherwise']
  readonly alternates?: FallbackRow['alternates']
  readonly platforms?: FallbackRow['platforms']
  readonly pin?: FallbackRow['pin']
  readonly isKnownConflict?: true
}

/** A bare pod without labels in the namespace `default`. */
export const barePod: PodContext = { namespace: 'default', labels: {}, owners: [] }

/** Returns a table from rows as a config writes them. */
export function tableOf(
  mirrors: readonly string[],
  rows: readonly RowInput[],
  conflicts: readonly RowInput[] = [],
): FallbackTable {
  return createTable(rows.map(rowOf), mirrors, { conflicts: conflicts.map(rowOf) })
}

export function referenceOf(text: string): Reference {
  const parsed = parseReference(text)
  if (!parsed.ok) throw new Error(`${text}: ${parsed.message}`)
  return parsed.reference
}

function rowOf(input: RowInput): FallbackRow {
  return {
    name: input.name,
    when: readWhen(input.when, [], (_, __, message) => {
      throw new Error(message)
    }),
    leave: input.leave === true,
    images: (input.images ?? ['**']).map((text) => {
      const result = compilePattern(text)
      if (!result.ok) throw new Error(`${text}: ${result.message}`)
      return result.pattern
    }),
    tags: new Map(Object.entries(input.tags ?? {})),
    try: (input.try ?? []).map((text) => {
      const result = compileTemplate(text)
      if (!result.ok) throw new Error(`${text}: ${result.message}`)
      return result.template
    }),
    otherwise: input.otherwise ?? 'keep',
    alternates: input.alternates ?? 'tag',
    platforms: input.platforms ?? null,
    pin: input.pin ?? null,
    isKnownConflict: input.isKnownConflict === true,
  }
}

/** A table with the mirror `anubis:32000` for its own images, ghcr.io and Docker Hub. */
export const anubis: FallbackTable = tableOf(
  ['anubis:32000'],
  [
    {
      name: 'local-builds',
      images: ['anubis:32000/**'],
      try: ['anubis:32000/{path}', 'ghcr.io/your-org/{path}', 'docker.io/{path}'],
    },
    {
      name: 'docker-hub',
      images: ['docker.io/**'],
      try: ['anubis:32000/{path}', 'docker.io/{path}'],
    },
    { name: 'ghcr', images: ['ghcr.io/**'], try: ['anubis:32000/{path}', 'ghcr.io/{path}'] },
  ],
)

/** A table with one image, a mirror on each node, and a mapped tag. */
export const freeipa: FallbackTable = tableOf(
  ['localhost:5000'],
  [
    {
      name: 'freeipa',
      images: ['docker.io/freeipa/freeipa-server'],
      tags: { latest: 'almalinux-9' },
      try: ['localhost:5000/{name}', 'quay.io/{path}'],
    },
  ],
)
