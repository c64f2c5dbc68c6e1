/**
 * The shape of the config file and its defaults: what a key may hold. What rows mean together is checked in `load.ts`
 * and `fallback/lint.ts`. The JSON Schema in webhook-config/ is made from this file.
 */
import { z } from 'zod'

/** DNS-1123 subdomain, as Kubernetes requires of a Secret's name (apimachinery, validation.go). */
const secretName = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/, {
    error: 'is no name for a Secret: lower-case letters, digits, `-` and `.`',
  })

/** YAML reads `1.10` as the number 1.1, so a tag without quotes may already be lost. */
const tag = z.string({ error: 'is not text; write a tag in quotes: "1.10"' })

const pattern = z
  .string()
  .describe('A glob over host/path, for example docker.io/** or ghcr.io/acme/*')

const roleArn = z.string().regex(/^arn:aws[a-z-]*:iam::[0-9]{12}:role\/[\w+=,.@/-]{1,512}$/, {
  error: 'is no ARN of a role: arn:aws:iam::ACCOUNT:role/NAME',
})

const ecr = object({
  region: z
    .string()
    .regex(/^[a-z]{2,4}(-[a-z]+){1,2}-[0-9]{1,2}$/, {
      error: 'is no region, for example us-east-1',
    })
    .optional()
    .describe("Taken from the host's name when left out"),
  webIdentity: object({
    roleArn: roleArn.describe("A role whose trust policy names Berth's service account"),
    tokenFile: z.string().min(1).describe('A projected service account token'),
  }).optional(),
  staticKeys: object({
    secret: secretName.describe(
      "A Secret of Berth's own namespace with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
  }).optional(),
  chain: z
    .array(
      z.union([roleArn, object({ roleArn, externalId: z.string().min(2).max(1224).optional() })], {
        error: 'is neither the ARN of a role nor `roleArn: ARN` with an `externalId`',
      }),
    )
    .default([])
    .describe('Roles to assume, each by the one before it'),
  sessionName: z
    .string()
    .regex(/^[\w+=,.@-]{2,64}$/, {
      error: 'is no name of a session: 2 to 64 of A-Z a-z 0-9 _+=,.@-',
    })
    .default('berth'),
  endpoints: object({ sts: z.string().optional(), ecr: z.string().optional() }).default({}),
})

const credentials = z.union(
  [
    object({
      secret: secretName.describe(
        "A pull secret of Berth's own namespace, mounted under --secrets-dir",
      ),
    }),
    object({ dockerConfig: z.string().min(1).describe('A docker config.json') }),
    object({ ecr: ecr.describe('Tokens of Amazon ECR, fetched through a chain of roles') }),
  ],
  { error: 'is none of `secret: NAME`, `dockerConfig: FILE` and `ecr: {…}`' },
)

const registry = object({
  host: z.string().min(1).describe('As images write it, for example anubis:32000'),
  endpoint: z.string().optional().describe('Where Berth reaches it; https://HOST when left out'),
  nodeEndpoint: z
    .string()
    .optional()
    .describe('Where nodes reach it, for `berth nodes`; the host by the scheme of the endpoint'),
  mirror: z.boolean().default(false).describe('True for a registry of your own'),
  probe: z.boolean().default(true).describe('False: trusted to have every image, never asked'),
  credentials: credentials.optional(),
  ca: z.string().min(1).optional().describe('A PEM file with the CA of this registry'),
  authHosts: z
    .array(z.string().min(1))
    .default([])
    .describe('Other hosts that may hand out tokens for this registry'),
  allowPlainHttpAuth: z
    .boolean()
    .default(false)
    .describe('True: credentials may be sent to it over plain HTTP'),
})

const row = object({
  name: z.string().min(1).max(63).describe('Shown wherever a decision is explained'),
  images: z.array(pattern).min(1),
  tags: z.record(z.string(), tag).default({}).describe('From the tag asked for to the tag tried'),
  try: z
    .array(z.string())
    .min(1)
    .describe('Templates with {host} {path} {name} {namespace}, tried in order'),
  otherwise: z
    .enum(['keep', 'first', 'deny'])
    .default('keep')
    .describe(
      'When nothing is found: keep the image, take the first candidate unproved, or refuse the pod',
    ),
  alternates: z
    .enum(['tag', 'digest'])
    .default('tag')
    .describe("digest: another publisher's copy must serve the original's digest"),
})

/** Members with dots between them; `[]` is each item of a list. */
const memberPath = z.string().regex(/^[A-Za-z][\w-]*(?:\[\])?(?:\.[A-Za-z][\w-]*(?:\[\])?)*$/, {
  error: 'is no path; write members with dots between them: spec.template, spec.steps[].image',
})

const workload = object({
  kind: z
    .string()
    .regex(/^[a-z0-9.-]*\/[A-Z][A-Za-z0-9]*$/, {
      error: 'is no kind; write GROUP/KIND, for example argoproj.io/Rollout',
    })
    .describe('GROUP/KIND, for example argoproj.io/Rollout'),
  pod: memberPath.optional().describe('Where its pod template stands'),
  images: z.array(memberPath).default([]).describe('Where image names stand by themselves'),
})

const mirrorImage = object({
  image: z.string().min(1).describe('A repository, or one image with its tag or digest'),
  tags: z.array(tag).default([]).describe('Tags, or globs over tags; one of them has to match'),
  semver: z.string().optional().describe('A range that a tag has to be in, for example ">=1.2 <2"'),
  newest: z.int().min(1).optional().describe('Only so many, the highest versions first'),
})

const mirror = object({
  images: z.array(mirrorImage).default([]).describe('What `berth mirror` copies by itself'),
  referrers: z.boolean().default(false).describe('Signatures, SBOMs and attestations as well'),
  quotaFloor: z
    .int()
    .min(0)
    .default(10)
    .describe('Manifest pulls of an upstream quota that are left alone'),
  createRepositories: z
    .boolean()
    .default(false)
    .describe('True: repositories that ECR lacks are made'),
  running: z
    .boolean()
    .default(false)
    .describe('True: `berth controller` copies what pods run and the mirror lacks'),
  namespaces: z
    .array(z.string())
    .default([])
    .describe('Of these namespaces alone; of all when left out'),
  atOnce: z.int().min(1).max(32).default(2).describe('Images that the controller copies at once'),
})

const selector = object({
  matchLabels: z.record(z.string(), z.string()).default({}),
  matchExpressions: z
    .array(
      object({
        key: z.string().min(1),
        operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']),
        values: z.array(z.string()).default([]),
      }),
    )
    .default([]),
})

/** By name, or by name and label. */
const choice = z.union(
  [
    z.array(z.string().min(1)),
    object({ names: z.array(z.string().min(1)).default(['*']), selector }),
  ],
  { error: 'is neither a list of names nor `selector:` with matchLabels or matchExpressions' },
)

const secretCopy = object({
  name: secretName.describe('Of every copy'),
  from: z
    .array(z.string())
    .min(1)
    .describe('NAMESPACE/NAME of each source; it must have the label berth.dev/copy: allowed'),
  namespaces: choice.describe('Names or globs over whole names, or a label selector'),
  serviceAccounts: choice
    .default(['default'])
    .describe('Whose imagePullSecrets get the name of the copy appended'),
  type: z
    .enum(['keep', 'dockerconfigjson'])
    .default('keep')
    .describe('dockerconfigjson: a legacy source is converted'),
  ensure: z
    .boolean()
    .default(false)
    .describe(
      'True: the webhook makes the copy, if it is missing, before it admits a pod that names it',
    ),
})

export const configSchema = object({
  apiVersion: literal('berth.dev/v1alpha1'),
  kind: literal('BerthConfig'),
  registries: z.array(registry).default([]),
  fallback: z.array(row).default([]).describe('The first row that matches decides'),
  pin: object({
    tags: z.array(z.string()).default([]).describe('Globs over tags; untagged counts as latest'),
    unresolved: z
      .enum(['keep', 'deny'])
      .default('keep')
      .describe('When no digest is to be had: keep the tag, or refuse the pod'),
    lock: z.string().min(1).optional().describe('A lock file, as `berth lock` writes it'),
  }).default({ tags: [], unresolved: 'keep' }),
  pullPolicy: z
    .array(
      object({
        images: z.array(pattern).min(1),
        set: z.enum(['Always', 'IfNotPresent', 'Never']),
      }),
    )
    .default([])
    .describe('The first that matches the final image sets imagePullPolicy'),
  pullSecrets: z
    .array(object({ registries: z.array(z.string().min(1)).min(1), secret: secretName }))
    .default([])
    .describe('Pull secrets to add to pods whose final image is on one of these registries'),
  ecrTokens: z
    .array(
      object({
        secret: secretName.describe("The pull secret to keep in Berth's own namespace"),
        registries: z.array(z.string().min(1)).min(1).describe('Hosts of ECR that it is for'),
        ecr: ecr
          .optional()
          .describe('How tokens are fetched; `credentials.ecr` of each host when left out'),
      }),
    )
    .default([])
    .describe('Pull secrets with tokens of Amazon ECR, which `berth controller` keeps fresh'),
  pullFailures: object({
    report: z
      .boolean()
      .default(true)
      .describe('True: `berth controller` tells of pods that stay without an image'),
    readSecrets: z
      .boolean()
      .default(false)
      .describe('True: it reads the pull secrets of such pods, to say which is at fault'),
  }).default({ report: true, readSecrets: false }),
  workloads: z
    .array(workload)
    .default([])
    .describe('Kinds beside the built-in ones, for commands that read manifests'),
  mirror: mirror
    .prefault({})
    .describe('What is copied to mirrors; the rows of `fallback` say where to'),
  pullSecretCopies: object({
    copies: z.array(secretCopy).default([]),
    stuckPods: z
      .enum(['report', 'recreate'])
      .default('report')
      .describe('Pods that a secret reached too late: an Event tells of them, or they are evicted'),
    rbac: z
      .enum(['cluster', 'namespaced'])
      .default('cluster')
      .describe('namespaced: a Role in each namespace, which must be named literally'),
  })
    .default({ copies: [], stuckPods: 'report', rbac: 'cluster' })
    .describe('Pull secrets that the controller copies to namespaces'),
  mode: z
    .enum(['enforce', 'observe'])
    .default('enforce')
    .describe('observe: decide and record, change nothing'),
  tests: z
    .array(
      object({
        image: z.string(),
        namespace: z.string().default('default'),
        expect: z.string().describe('The image that results if the first candidate is found'),
        row: z.string().nullable().optional(),
        secrets: z
          .array(secretName)
          .optional()
          .describe('The pull secrets that are added, in order'),
      }),
    )
    .default([])
    .describe('Checked by `berth check`, without asking a registry'),
})

export type EcrInput = z.output<typeof ecr>

export type ConfigInput = z.output<typeof configSchema>

/** The JSON Schema that editors use: what people write, before defaults. */
export function jsonSchema(): object {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'BerthConfig',
    ...z.toJSONSchema(configSchema, { io: 'input' }),
  }
}

function literal<Text extends string>(text: Text): z.ZodLiteral<Text> {
  return z.literal(text, {
    error: ({ input }) => (input === undefined ? `is missing; write ${text}` : `is not ${text}`),
  })
}

/** An object that knows no other keys, and says which ones it knows. */
function object<Shape extends z.ZodRawShape>(shape: Shape): z.ZodObject<Shape, z.core.$strict> {
  const known = Object.keys(shape).join(', ')
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys' ? `is not known here; known: ${known}` : undefined,
  })
}
