/** The schema of an entry of `workloads`. */
import { z } from 'zod'
import { object } from './values.ts'

/** Members joined by dots. `*` means each member of a map, and `[]` or `[*]` after a member each item of its list. */
export const memberPath = z
  .string()
  .regex(/^[A-Za-z][\w-]*(?:\[\*?\])?(?:\.(?:\*|[A-Za-z][\w-]*)(?:\[\*?\])?){0,30}$/, {
    error:
      'not a path; join members with dots, for example spec.template, spec.steps[].image or spec.replicaSpecs.*.template',
  })

export const workloadKind = z.string().regex(/^[a-z0-9.-]*\/[A-Z][A-Za-z0-9]*$/, {
  error: 'not a kind; write GROUP/KIND, for example argoproj.io/Rollout',
})

export const workload = object({
  kind: workloadKind.describe('GROUP/KIND, without the version. Example: argoproj.io/Rollout.'),
  pod: memberPath
    .optional()
    .describe(
      'The path of the pod template. `*` means each member of a map, and `[]` each item of a list. Example: spec.template. Default: none.',
    ),
  images: z
    .array(memberPath)
    .default([])
    .describe('The paths of images outside of pod templates. Default: none.'),
})
