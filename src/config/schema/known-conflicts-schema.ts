/** The schema of `webhook-config/known-conflicts.yaml`. Its keys `when`, `images` and `leave` are those of `fallback`. */
import { z } from 'zod'
import { object, pattern } from './values.ts'
import { when } from './when-schema.ts'

export const knownConflictsSchema = z.array(
  object({
    /** Part of the name of the row. */
    name: z.string().regex(/^[a-z0-9]+(?:-[a-z0-9]+)*$/),
    operator: z.string().min(1),
    /** What the operator does with a pod whose image differs. Continues a sentence that begins with its name. */
    does: z.string().min(1),
    /** Where this is reported, or the source that does it. */
    reports: z.array(z.url({ protocol: /^https$/ })).min(1),
    when,
    images: z.array(pattern).min(1).default(['**']),
    leave: z.literal(true),
  }),
)

export type KnownConflictsInput = z.output<typeof knownConflictsSchema>
