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
    .describe('How often it asks about each image: a number with s, m or h. Default: 6h.'),
  perMinute: z
    .int()
    .min(1)
    .max(600)
    .default(30)
    .describe('How many images it asks about in a minute, at most. Default: 30.'),
})
  .optional()
  .describe(
    'If set, even to {}: `berth controller` asks the registries now and then whether they still have the images that run. Default: it does not ask.',
  )
