/** Reads the operators that are known to compare the images of their pods, from `webhook-config/known-conflicts.yaml`. */
import type { FallbackRow } from '../decision/fallback/table.ts'
import { readPatterns } from './fallback-rows.ts'
import { readList } from './known-conflict-list.ts'
import type { PathPart } from './problem.ts'
import { readWhen } from './when.ts'

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
  conflicts ??= compileConflicts()
  return conflicts
}

function compileConflicts(): KnownConflict[] {
  return readList().map(({ name, operator, does, reports, when, images }, index) => ({
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
