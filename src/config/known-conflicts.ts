/** Reads the operators that are known to compare the images of their pods, from `webhook-config/known-conflicts.yaml`. */
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import type { FallbackRow } from '../decision/fallback/table.ts'
import { readPatterns } from './fallback-rows.ts'
import type { PathPart } from './problem.ts'
import { knownConflictsSchema } from './schema/known-conflicts-schema.ts'
import { readWhen } from './when.ts'
import { packageRoot } from '../package-root.ts'

export interface KnownConflict {
  readonly operator: string
  /** What the operator does with a pod whose image differs. Continues a sentence that begins with its name. */
  readonly does: string
  readonly reports: readonly string[]
  /** Leaves the images of the operator's pods unchanged. */
  readonly row: FallbackRow
}

let conflicts: readonly KnownConflict[] | undefined

/** Returns the list. Reads the file once: it is part of Berth. */
export function knownConflicts(): readonly KnownConflict[] {
  conflicts ??= readConflicts(
    readFileSync(new URL('webhook-config/known-conflicts.yaml', packageRoot), 'utf8'),
  )
  return conflicts
}

function readConflicts(text: string): KnownConflict[] {
  return knownConflictsSchema
    .parse(parse(text))
    .map(({ name, operator, does, reports, when, images }, index) => ({
      operator,
      does,
      reports,
      row: {
        name: `known:${name}`,
        when: readWhen(when, [index, 'when'], fail),
        images: readPatterns(images, [index, 'images'], fail),
        leave: true,
        tags: new Map(),
        try: [],
        otherwise: 'keep',
        alternates: 'tag',
        platforms: null,
        pin: null,
        isKnownConflict: true,
      },
    }))
}

function fail(_severity: string, path: readonly PathPart[], message: string): never {
  throw new Error(`webhook-config/known-conflicts.yaml: ${path.join('.')}: ${message}`)
}
