/** The schema of `mirror.verify`. */
import { z } from 'zod'
import { object, pattern } from './values.ts'

const cosign = object({
  key: z
    .string()
    .min(1)
    .optional()
    .describe('The public key: the path of a file such as cosign.pub, or PEM.'),
  identity: z
    .string()
    .min(1)
    .max(1_000)
    .optional()
    .describe(
      'For keyless signatures: the identity in the certificate, with * for any characters except / and ** for any. Example: https://github.com/acme/app/.github/workflows/release.yaml@refs/tags/*.',
    ),
  issuer: z
    .string()
    .min(1)
    .max(1_000)
    .optional()
    .describe(
      'For keyless signatures: the issuer of the identity. Example: https://token.actions.githubusercontent.com.',
    ),
  trustedRoot: z
    .string()
    .min(1)
    .optional()
    .describe(
      'For keyless signatures: the trusted root of sigstore, with the keys of its certificate authorities and logs: the path of a file, or its JSON.',
    ),
})

export const verifySchema = z
  .array(
    object({
      images: z
        .array(pattern)
        .min(1)
        .describe('The images of this entry, by the name upstream: those that match a pattern.'),
      cosign: cosign
        .optional()
        .describe('Who must have signed the image: `key`, or `identity` and `issuer`.'),
      minAge: z
        .string()
        .regex(/^(?:0|[1-9][0-9]{0,3})[smhd]$/, {
          error: 'not a time; write a number with s, m, h or d, for example 48h',
        })
        .optional()
        .describe('How old the image must be: a number with s, m, h or d. Default: any age.'),
    }),
  )
  .max(1_000)
  .default([])
  .describe(
    'What to verify before an image is copied. The first entry that matches the image decides. Default: nothing.',
  )
