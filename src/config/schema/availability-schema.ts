/** The schema of the config section `availability`. */
import { z } from 'zod'
import { object } from './values.ts'

export const availabilitySchema = object({
  interval: z
    .string()
    .regex(/^[1-9][0-9]{0,3}[smh]$/, {
      error: 'not a time; write a number with s, m or h, for example 6h',
    })
    .default('6h')
    .describe('How often it checks each image: a number with s, m or h. Default: 6h.'),
  perMinute: z
    .int()
    .min(1)
    .max(600)
    .default(30)
    .describe(
      'The maximum number of images that it checks in a minute, from 1 to 600. Default: 30.',
    ),
})
  .optional()
  .describe(
    'If set, even to {}: `berth controller` periodically checks that registries still have the images that pods run. Default: it does not check.',
  )
