/** Reads `webhook-config/known-workloads.yaml`. The build replaces this file by what it returns (`tools/bundle.ts`). */
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { packageRoot } from '../package-root.ts'
import { type KnownWorkloadsInput, knownWorkloadsSchema } from './schema/known-workloads-schema.ts'

/** Returns the list as plain data. */
export function readList(): KnownWorkloadsInput {
  const file = new URL('webhook-config/known-workloads.yaml', packageRoot)
  return knownWorkloadsSchema.parse(parse(readFileSync(file, 'utf8')))
}
