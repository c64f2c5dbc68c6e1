/**
 * The schema of the config file: keys, types, defaults and descriptions. `tools/schema.ts` writes the JSON Schema in
 * webhook-config/ from it. Rules about more than one value are in `load.ts` and `decision/fallback/lint.ts`.
 */
import { z } from 'zod'

/** A DNS-1123 subdomain, as Kubernetes requires it for the name of a Secret (apimachinery, validation.go). */
const secretName = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/, {
    error: 'not a valid name of a Secret; use lower-case letters, digits, `-` and `.`',
  })

/** YAML reads `1.10` as the number 1.1, so a tag without quotes may already be wrong. */
const tag = z.string({ error: 'the tag is not text; write it in quotes, for example "1.10"' })

const pattern = z
  .string()
  .describe(
    'A repository, or a glob over HOST/PATH with * (within a segment), ** (any segments), ? and […]. Examples: docker.io/**, ghcr.io/acme/*.',
  )

const roleArn = z.string().regex(/^arn:aws[a-z-]*:iam::[0-9]{12}:role\/[\w+=,.@/-]{1,512}$/, {
  error: 'not the ARN of an IAM role; write arn:aws:iam::ACCOUNT:role/NAME',
})

const ecr = object({
  region: z
    .string()
    .regex(/^[a-z]{2,4}(-[a-z]+){1,2}-[0-9]{1,2}$/, {
      error: 'not an AWS region; write for example us-east-1',
    })
    .optional()
    .describe('The AWS region of the registry. Default: the region in the host name.'),
  webIdentity: object({
    roleArn: roleArn.describe("An IAM role whose trust policy names Berth's service account."),
    tokenFile: z.string().min(1).describe('The file with the projected service account token.'),
  })
    .optional()
    .describe('Start the chain with a web identity. Default: the identity of the environment.'),
  staticKeys: object({
    secret: secretName.describe(
      "A Secret in Berth's own namespace with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and optionally AWS_SESSION_TOKEN, mounted under --secrets-dir.",
    ),
  })
    .optional()
    .describe('Start the chain with access keys. Default: the identity of the environment.'),
  chain: z
    .array(
      z.union([roleArn, object({ roleArn, externalId: z.string().min(2).max(1224).optional() })], {
        error: 'must be the ARN of a role, or a map with `roleArn` and `externalId`',
      }),
    )
    .default([])
    .describe('IAM roles to assume, each with the credentials of the role before it. Default: none.'),
  sessionName: z
    .string()
    .regex(/^[\w+=,.@-]{2,64}$/, {
      error: 'not a valid session name; use 2 to 64 of the characters A-Z a-z 0-9 _+=,.@-',
    })
    .default('berth')
    .describe('The name of the sessions in AWS CloudTrail. Default: berth.'),
  endpoints: object({
    sts: z.string().optional().describe('The https URL of a VPC endpoint for AWS STS.'),
    ecr: z.string().optional().describe('The https URL of a VPC endpoint for the Amazon ECR API.'),
  })
    .default({})
    .describe('VPC endpoints. Default: the public endpoints of AWS.'),
})

const credentials = z.union(
  [
    object({
      secret: secretName.describe(
        "A pull secret in Berth's own namespace, mounted under --secrets-dir.",
      ),
    }),
    object({ dockerConfig: z.string().min(1).describe('The path of a docker config.json.') }),
    object({ ecr: ecr.describe('Tokens of Amazon ECR, fetched through a chain of IAM roles.') }),
  ],
  { error: 'must be one of `secret: NAME`, `dockerConfig: FILE` or `ecr: {…}`' },
)

const registry = object({
  host: z
    .string()
    .min(1)
    .describe('The registry as images write it, with its port. Example: anubis:32000.'),
  endpoint: z
    .string()
    .optional()
    .describe('The URL at which Berth reaches the registry. Default: https://HOST.'),
  nodeEndpoint: z
    .string()
    .optional()
    .describe(
      'The URL at which nodes reach the registry, for `berth nodes`. Default: the host, with the scheme of `endpoint`.',
    ),
  mirror: z
    .boolean()
    .default(false)
    .describe(
      'True for a registry of your own, whose images have the content of the upstream. Default: false.',
    ),
  probe: z
    .boolean()
    .default(true)
    .describe(
      'False: Berth assumes that the registry has every image, and does not ask it. Default: true.',
    ),
  credentials: credentials
    .optional()
    .describe("The credentials for Berth's own requests. Default: anonymous."),
  ca: z
    .string()
    .min(1)
    .optional()
    .describe('A PEM file with the CA of this registry. Default: the public CAs only.'),
  authHosts: z
    .array(z.string().min(1))
    .default([])
    .describe(
      'Other hosts that may issue tokens for this registry. Default: none, besides the registry itself.',
    ),
  allowPlainHttpAuth: z
    .boolean()
    .default(false)
    .describe('True: Berth may send credentials to this registry over plain HTTP. Default: false.'),
})

const row = object({
  name: z
    .string()
    .min(1)
    .max(63)
    .describe('The name of the row, shown wherever a decision is explained. Must be unique.'),
  images: z
    .array(pattern)
    .min(1)
    .describe('The images of this row: those that match one of the patterns.'),
  tags: z
    .record(z.string(), tag)
    .default({})
    .describe('Tags to replace: the tag of the image, and the tag to try. Default: none.'),
  try: z
    .array(z.string())
    .min(1)
    .describe(
      'Templates for the candidates, in order, with the variables {host}, {path}, {name} and {namespace}. Example: anubis:32000/{host}/{path}.',
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
})

/** Members joined by dots; `[]` means each item of a list. */
const memberPath = z.string().regex(/^[A-Za-z][\w-]*(?:\[\])?(?:\.[A-Za-z][\w-]*(?:\[\])?)*$/, {
  error: 'not a path; join members with dots, for example spec.template or spec.steps[].image',
})

const workload = object({
  kind: z
    .string()
    .regex(/^[a-z0-9.-]*\/[A-Z][A-Za-z0-9]*$/, {
      error: 'not a kind; write GROUP/KIND, for example argoproj.io/Rollout',
    })
    .describe('GROUP/KIND, without the version. Example: argoproj.io/Rollout.'),
  pod: memberPath
    .optional()
    .describe('The path of the pod template. Example: spec.template. Default: none.'),
  images: z
    .array(memberPath)
    .default([])
    .describe('The paths of images outside of pod templates. Default: none.'),
})

const mirrorImage = object({
  image: z
    .string()
    .min(1)
    .describe('A repository, or one image with its tag or digest. Example: docker.io/library/nginx.'),
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

const mirror = object({
  images: z
    .array(mirrorImage)
    .default([])
    .describe('What `berth mirror` copies when the command line names no image. Default: none.'),
  referrers: z
    .boolean()
    .default(false)
    .describe('True: copy signatures, SBOMs and attestations too. Default: false.'),
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

const selector = object({
  matchLabels: z
    .record(z.string(), z.string())
    .default({})
    .describe('Labels that must have these values. Default: none.'),
  matchExpressions: z
    .array(
      object({
        key: z.string().min(1).describe('The label.'),
        operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']),
        values: z
          .array(z.string())
          .default([])
          .describe('The values for In and NotIn. Default: none.'),
      }),
    )
    .default([])
    .describe('Requirements for labels, as in Kubernetes. All must hold. Default: none.'),
})

/** Selects objects by name, or by name and labels. */
const nameSelector = z.union(
  [
    z.array(z.string().min(1)),
    object({
      names: z
        .array(z.string().min(1))
        .default(['*'])
        .describe('Names, or globs for names. Default: all.'),
      selector: selector.describe('A label selector. The name must match too.'),
    }),
  ],
  { error: 'must be a list of names, or `selector:` with matchLabels or matchExpressions' },
)

const secretCopy = object({
  name: secretName.describe('The name of each copy.'),
  from: z
    .array(z.string())
    .min(1)
    .describe(
      'The sources, each NAMESPACE/NAME. A source must have the label berth.dev/copy: allowed.',
    ),
  namespaces: nameSelector.describe(
    'The namespaces that get a copy: names or globs, or a label selector.',
  ),
  serviceAccounts: nameSelector
    .default(['default'])
    .describe(
      'The service accounts that get the copy in imagePullSecrets: names or globs, or a label selector. Default: [default].',
    ),
  type: z
    .enum(['keep', 'dockerconfigjson'])
    .default('keep')
    .describe(
      'dockerconfigjson: convert a source of the legacy type kubernetes.io/dockercfg. Default: keep.',
    ),
  ensure: z
    .boolean()
    .default(false)
    .describe(
      'True: the webhook creates a missing copy before it admits a pod that lists it. Default: false.',
    ),
})

export const configSchema = object({
  apiVersion: literal('berth.dev/v1alpha1'),
  kind: literal('BerthConfig'),
  registries: z
    .array(registry)
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
  pin: object({
    tags: z
      .array(z.string())
      .default([])
      .describe(
        'Add the digest to images whose tag matches one of these globs. An image without a tag has the tag latest. Default: none.',
      ),
    unresolved: z
      .enum(['keep', 'deny'])
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
        ecr: ecr
          .optional()
          .describe('How to fetch the tokens. Default: `credentials.ecr` of each registry.'),
      }),
    )
    .default([])
    .describe('Pull secrets with Amazon ECR tokens that `berth controller` renews. Default: none.'),
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
  workloads: z
    .array(workload)
    .default([])
    .describe(
      'Custom resources with pods or images, for the commands that read manifests. Default: the built-in kinds only.',
    ),
  mirror: mirror
    .prefault({})
    .describe('What to copy to mirrors. The rows of `fallback` define the names on the mirror.'),
  pullSecretCopies: object({
    copies: z.array(secretCopy).default([]).describe('One entry for each secret. Default: none.'),
    stuckPods: z
      .enum(['report', 'recreate'])
      .default('report')
      .describe(
        'Pods that started before they had their copy: report them with an Event, or evict them so that their controller recreates them. Default: report.',
      ),
    rbac: z
      .enum(['cluster', 'namespaced'])
      .default('cluster')
      .describe(
        'namespaced: the controller has a Role in each namespace instead of a ClusterRole; list each namespace by its full name. Default: cluster.',
      ),
  })
    .default({ copies: [], stuckPods: 'report', rbac: 'cluster' })
    .describe('Pull secrets that the controller copies to namespaces.'),
  mode: z
    .enum(['enforce', 'observe'])
    .default('enforce')
    .describe('observe: decide and record, but neither change nor deny pods. Default: enforce.'),
  tests: z
    .array(
      object({
        image: z.string().describe('The image to decide.'),
        namespace: z.string().default('default').describe("The pod's namespace. Default: default."),
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

export type EcrInput = z.output<typeof ecr>

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

function literal<Text extends string>(text: Text): z.ZodLiteral<Text> {
  return z.literal(text, {
    error: ({ input }) =>
      input === undefined ? `the key is missing; write ${text}` : `must be ${text}`,
  })
}

/** An object without other keys. For an unknown key, the message is the list of known keys (`shape-problems.ts`). */
function object<Shape extends z.ZodRawShape>(shape: Shape): z.ZodObject<Shape, z.core.$strict> {
  const known = Object.keys(shape).join(', ')
  return z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? known : undefined),
  })
}
