/** The schema of `mirror`. */
import { z } from 'zod'
import { object, tag } from './values.ts'
import { verifySchema } from './verify-schema.ts'

const mirrorImage = object({
  image: z
    .string()
    .min(1)
    .describe(
      'A repository, or one image with its tag or digest. Example: docker.io/library/nginx.',
    ),
  tags: z
    .array(tag)
    .default([])
    .describe('Tags or globs for tags; a tag must match one of them. Default: all tags.'),
  semver: z
    .string()
    .optional()
    .describe('A version range that a tag must be in. Example: ">=1.2 <2". Default: none.'),
  newest: z
    .int()
    .min(1)
    .optional()
    .describe('Copy only this many tags, the highest versions first. Default: all that match.'),
})

export const mirrorSchema = object({
  images: z
    .array(mirrorImage)
    .default([])
    .describe('What `berth mirror` copies when the command line names no image. Default: none.'),
  verify: verifySchema,
  referrers: z
    .boolean()
    .default(false)
    .describe('True: copy signatures, SBOMs and attestations too. Default: false.'),
  foreignLayers: z
    .boolean()
    .default(false)
    .describe(
      'True: download foreign layers that the source does not have from the URLs in their manifest. Default: false.',
    ),
  quotaFloor: z
    .int()
    .min(0)
    .default(10)
    .describe(
      'Stop when an upstream registry allows only this many more pulls of manifests. Default: 10.',
    ),
  createRepositories: z
    .boolean()
    .default(false)
    .describe('True: create missing repositories on Amazon ECR. Default: false.'),
  running: z
    .boolean()
    .default(false)
    .describe(
      'True: `berth controller` copies the images of running pods that a mirror does not have. Default: false.',
    ),
  namespaces: z
    .array(z.string())
    .default([])
    .describe('The namespaces whose pods count for `running`. Default: all.'),
  atOnce: z
    .int()
    .min(1)
    .max(32)
    .default(2)
    .describe('How many images the controller copies in parallel, 1 to 32. Default: 2.'),
})
