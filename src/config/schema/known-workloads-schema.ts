/** The schema of `webhook-config/known-workloads.yaml`. */
import { z } from 'zod'
import { memberPath, workloadKind } from './workload-schema.ts'
import { object } from './values.ts'

export const knownWorkloadsSchema = z.array(
  object({
    project: z.string().min(1),
    /** Where the project defines these kinds. */
    source: z.url({ protocol: /^https$/ }),
    kinds: z
      .array(
        object({
          kind: workloadKind,
          pods: z.array(memberPath).default([]),
          images: z.array(memberPath).default([]),
        }),
      )
      .min(1),
  }),
)

export type KnownWorkloadsInput = z.output<typeof knownWorkloadsSchema>
