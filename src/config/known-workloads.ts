/** Reads the custom resources that are known to have pods or images, from `webhook-config/known-workloads.yaml`. */
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import type { Config, Workload } from './config.ts'
import { knownWorkloadsSchema } from './schema/known-workloads-schema.ts'
import { splitMemberPath } from './schema/workload-schema.ts'
import { packageRoot } from '../package-root.ts'

let known: readonly Workload[] | undefined

/** Returns the workloads of a config, then the known ones. Reads the file once: it is part of Berth. */
export function readableWorkloads({ workloads }: Pick<Config, 'workloads'>): readonly Workload[] {
  const file = new URL('webhook-config/known-workloads.yaml', packageRoot)
  known ??= knownWorkloadsSchema
    .parse(parse(readFileSync(file, 'utf8')))
    .flatMap(({ kinds }) => kinds)
    .map(({ kind, pods, images }) => ({
      kind,
      pods: pods.map(splitMemberPath),
      images: images.map(splitMemberPath),
    }))
  return [...workloads, ...known]
}
