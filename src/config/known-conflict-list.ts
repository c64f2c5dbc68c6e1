/** Reads `webhook-config/known-conflicts.yaml`. The build replaces this file by what it returns (`tools/bundle.ts`). */
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { packageRoot } from '../package-root.ts'
import { type KnownConflictsInput, knownConflictsSchema } from './schema/known-conflicts-schema.ts'

/** Returns the list as plain data. */
export function readList(): KnownConflictsInput {
  const file = new URL('webhook-config/known-conflicts.yaml', packageRoot)
  return knownConflictsSchema.parse(parse(readFileSync(file, 'utf8')))
}
