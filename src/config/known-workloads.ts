/** Reads the custom resources that are known to have pods or images, from `webhook-config/known-workloads.yaml`. */
import type { Config, Workload } from './config.ts'
import { readList } from './known-workload-list.ts'
import { splitMemberPath } from './member-path.ts'

let known: readonly Workload[] | undefined

/** Returns the workloads of a config, then the known ones. Reads the file once: it is part of Berth. */
export function readableWorkloads({ workloads }: Pick<Config, 'workloads'>): readonly Workload[] {
  known ??= readList()
    .flatMap(({ kinds }) => kinds)
    .map(({ kind, pods, images }) => ({
      kind,
      pods: pods.map(splitMemberPath),
      images: images.map(splitMemberPath),
    }))
  return [...workloads, ...known]
}
