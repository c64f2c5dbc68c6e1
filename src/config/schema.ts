/**
 * The schema of the config file: keys, types, defaults and descriptions. `tools/schema.ts` writes the JSON Schema in
 * webhook-config/ from it. Rules about more than one value are in `load.ts` and `decision/fallback/lint.ts`.
 */
import { z } from 'zod'
import { availabilitySchema } from './schema/availability-schema.ts'
import { copiesSchema } from './schema/copies-schema.ts'
import { mirrorSchema } from './schema/mirror-schema.ts'
import { ecrSchema, registrySchema } from './schema/registry-schema.ts'
import { literal, object, pattern, secretName, tag, platforms } from './schema/values.ts'
import { ownerKind, when } from './schema/when-schema.ts'
import { workload } from './schema/workload-schema.ts'

const tagGlobs = z.array(z.string())

const unresolved = z.enum(['keep', 'deny'])

const row = object({
  name: z
    .string()
    .min(1)
    .max(63)
    .describe('The name of the row, shown wherever a decision is explained. Must be unique.'),
  when: when
    .optional()
    .describe(
      'The pods whose images this row is for. All conditions must hold. Default: all pods.',
    ),
  images: z
    .array(pattern)
    .min(1)
    .optional()
    .describe(
      'The images of this row: those that match one of the patterns. Default: all images, if the row has `when`.',
    ),
  leave: z
    .boolean()
    .default(false)
    .describe(
      'True, in place of `try`: leave these images, their pull policies and pull secrets unchanged. Default: false.',
    ),
  tags: z
    .record(z.string(), tag)
    .default({})
    .describe('Tags to replace: the tag of the image, and the tag to try. Default: none.'),
  try: z
    .array(z.string())
    .min(1)
    .optional()
    .describe(
      'Templates for the candidates, in order, with the variables {host}, {path}, {rest}, {flat}, {name} and {namespace}. Example: anubis:32000/{host}/{path}.',
    ),
  otherwise: z
    .enum(['keep', 'first', 'deny'])
    .default('keep')
    .describe(
      'If no candidate is found: keep the image, take the first candidate without proof, or deny the pod. Default: keep.',
    ),
  alternates: z
    .enum(['tag', 'digest'])
    .default('tag')
    .describe(
      "digest: take another publisher's copy only if it has the digest of the original. Default: tag.",
    ),
  platforms: platforms
    .optional()
    .describe(
      'The platforms that a candidate must have, such as linux/amd64. Default: those of its registry.',
    ),
  pin: z
    .union(
      [
        z.literal(false),
        object({
          tags: tagGlobs
            .optional()
            .describe('Add the digest to images of this row whose tag matches one of these globs.'),
          unresolved: unresolved
            .optional()
            .describe('If no digest is known: keep the tag, or deny the pod.'),
        }),
      ],
      { error: 'must be false, or a map with `tags` and `unresolved`' },
    )
    .optional()
    .describe(
      'Which images of this row get a digest. False: only alternates. Default: `pin` of the config, also for each key that is left out.',
    ),
})

export const configSchema = object({
  apiVersion: literal('berth.dev/v1alpha1').describe('The version of the config format.'),
  kind: literal('BerthConfig').describe('The kind of this file.'),
  registries: z
    .array(registrySchema)
    .default([])
    .describe(
      'How to reach and trust registries. Berth contacts only these hosts and those in `try`. Default: none.',
    ),
  fallback: z
    .array(row)
    .default([])
    .describe(
      'The fallback table: which registries to try for which images. The first row that matches decides. Default: none.',
    ),
  knownConflicts: z
    .enum(['leave', 'rewrite'])
    .default('leave')
    .describe(
      'What to do with the pods of operators that are known to compare images (docs/operators.md): leave their images unchanged, or rewrite them as all others. Default: leave.',
    ),
  pin: object({
    when: when.optional().describe('The pods whose images get a digest. Default: all pods.'),
    tags: tagGlobs
      .default([])
      .describe(
        'Add the digest to images whose tag matches one of these globs. An image without a tag has the tag latest. Default: none.',
      ),
    unresolved: unresolved
      .default('keep')
      .describe('If no digest is known: keep the tag, or deny the pod. Default: keep.'),
    lock: z
      .string()
      .min(1)
      .optional()
      .describe('The path of a lock file, which `berth lock` writes. Default: none.'),
  })
    .default({ tags: [], unresolved: 'keep' })
    .describe('Which images get a digest. Default: only alternates.'),
  pullPolicy: z
    .array(
      object({
        images: z.array(pattern).min(1).describe('Patterns for the final image.'),
        when: when.optional().describe('The pods that this is for. Default: all pods.'),
        set: z.enum(['Always', 'IfNotPresent', 'Never']).describe('The imagePullPolicy to set.'),
      }),
    )
    .default([])
    .describe(
      'The imagePullPolicy of containers. The first entry that matches the final image decides. Default: unchanged.',
    ),
  pullSecrets: z
    .array(
      object({
        registries: z
          .array(z.string().min(1))
          .min(1)
          .describe(
            'Registries, matched as the kubelet matches the keys of a pull secret. Examples: docker.io, ghcr.io/acme/.',
          ),
        secret: secretName.describe("The pull secret to add, in the pod's namespace."),
        when: when.optional().describe('The pods that get it. Default: all pods.'),
      }),
    )
    .default([])
    .describe(
      'Pull secrets to add to new pods with a final image on one of the registries. Default: none.',
    ),
  ecrTokens: z
    .array(
      object({
        secret: secretName.describe("The pull secret to write in Berth's own namespace."),
        registries: z
          .array(z.string().min(1))
          .min(1)
          .describe('The Amazon ECR hosts whose tokens it holds.'),
        ecr: ecrSchema
          .optional()
          .describe('How to fetch the tokens. Default: `credentials.ecr` of each registry.'),
      }),
    )
    .default([])
    .describe('Pull secrets with Amazon ECR tokens that `berth controller` renews. Default: none.'),
  conflicts: z
    .enum(['report', 'leave', 'ignore'])
    .default('report')
    .describe(
      'Owners that recreate pods because Berth changed their images (docs/operators.md): `berth controller` reports them; with leave, the webhook also leaves the images of their pods unchanged; or neither. Default: report.',
    ),
  pullFailures: object({
    report: z
      .boolean()
      .default(true)
      .describe(
        'True: `berth controller` reports pods that cannot pull an image, with Events and a metric. Default: true.',
      ),
    readSecrets: z
      .boolean()
      .default(false)
      .describe(
        'True: it reads the pull secrets of these pods, to report which one is wrong. Default: false.',
      ),
  })
    .default({ report: true, readSecrets: false })
    .describe('How the controller reports pods that cannot pull an image.'),
  stuckPods: z
    .enum(['report', 'recreate'])
    .optional()
    .describe(
      'Pods that cannot pull an image that Berth gave them, if a new pod would get another one: report them with an Event, or evict them so that their controller recreates them. `pullSecretCopies.stuckPods` is a different setting. Default: neither.',
    ),
  unprocessed: z
    .enum(['report', 'restart'])
    .optional()
    .describe(
      'Pods that Berth has not processed, and whose images would change in a new pod: count them in a metric, or also restart their owners by evicting their pods one by one. Default: neither.',
    ),
  availability: availabilitySchema,
  reports: object({
    openReports: z
      .boolean()
      .default(false)
      .describe(
        'True: it keeps a Report of OpenReports in each namespace whose pods have findings. Default: false.',
      ),
  })
    .default({ openReports: false })
    .describe('Reports that the controller writes as Kubernetes objects.'),
  workloads: z
    .array(workload)
    .default([])
    .describe(
      'Custom resources with pods or images, for the commands that read manifests, in addition to the built-in and the known ones. Default: none.',
    ),
  mirror: mirrorSchema
    .prefault({})
    .describe('What to copy to mirrors. The rows of `fallback` define the names on the mirror.'),
  pullSecretCopies: copiesSchema,
  mode: z
    .enum(['enforce', 'observe'])
    .default('enforce')
    .describe('observe: decide and record, but neither change nor deny pods. Default: enforce.'),
  tests: z
    .array(
      object({
        image: z.string().describe('The image to decide.'),
        namespace: z.string().default('default').describe("The pod's namespace. Default: default."),
        labels: z
          .record(z.string(), z.string())
          .default({})
          .describe("The pod's labels. Default: none."),
        owners: z
          .array(ownerKind)
          .default([])
          .describe("The kinds of the pod's owners, as GROUP/KIND. Default: none."),
        expect: z.string().describe('The expected image, if the first candidate is found.'),
        row: z
          .string()
          .nullable()
          .optional()
          .describe('The expected row; null if no row must match. Default: any.'),
        secrets: z
          .array(secretName)
          .optional()
          .describe('The pull secrets that must be added, in order. Default: any.'),
      }),
    )
    .default([])
    .describe('Tests that `berth check` runs, without asking a registry. Default: none.'),
})

export type EcrInput = z.output<typeof ecrSchema>

/** A config file after the schema: defaults filled in, nothing compiled. */
export type ConfigInput = z.output<typeof configSchema>

/** Returns the JSON Schema for editors. It describes what people write, before defaults. */
export function jsonSchema(): object {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'BerthConfig',
    ...z.toJSONSchema(configSchema, { io: 'input' }),
  }
}
