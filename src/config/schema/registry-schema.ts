/** The schema of `registries`, with credentials and Amazon ECR. */
import { z } from 'zod'
import { object, platforms, secretName } from './values.ts'

const roleArn = z.string().regex(/^arn:aws[a-z-]*:iam::[0-9]{12}:role\/[\w+=,.@/-]{1,512}$/, {
  error: 'not the ARN of an IAM role; write arn:aws:iam::ACCOUNT:role/NAME',
})

export const ecrSchema = object({
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
      z.union(
        [
          roleArn,
          object({
            roleArn: roleArn.describe('The IAM role.'),
            externalId: z
              .string()
              .min(2)
              .max(1224)
              .optional()
              .describe('The external ID that the role requires. Default: none.'),
          }),
        ],
        {
          error: 'must be the ARN of a role, or a map with `roleArn` and `externalId`',
        },
      ),
    )
    .default([])
    .describe(
      'IAM roles to assume, each with the credentials of the role before it. Default: none.',
    ),
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
    object({
      ecr: ecrSchema.describe('Tokens of Amazon ECR, fetched through a chain of IAM roles.'),
    }),
  ],
  { error: 'must be one of `secret: NAME`, `dockerConfig: FILE` or `ecr: {…}`' },
)

export const registrySchema = object({
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
  copy: z
    .boolean()
    .default(true)
    .describe(
      'False, for a mirror: Berth never pushes to it, for example because it is a pull-through cache. Default: true.',
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
    .describe(
      'A PEM file with the CA of this registry. A relative path starts at the directory of the config file. Default: the public CAs only.',
    ),
  clientCertificate: z
    .union(
      [
        object({
          secret: secretName.describe(
            "A Secret of the type kubernetes.io/tls in Berth's own namespace, mounted under --secrets-dir.",
          ),
        }),
        object({
          cert: z
            .string()
            .min(1)
            .describe('The path of a PEM file with the certificate and its chain.'),
          key: z.string().min(1).describe('The path of a PEM file with the private key.'),
        }),
      ],
      { error: 'must be `secret: NAME`, or `cert: FILE` and `key: FILE`' },
    )
    .optional()
    .describe(
      'The certificate with which Berth authenticates in the TLS handshake. Default: none.',
    ),
  proxy: z
    .string()
    .min(1)
    .optional()
    .describe(
      'The http or https URL of the proxy for this registry, or `none`. Default: the proxy of the environment (HTTPS_PROXY, HTTP_PROXY, NO_PROXY).',
    ),
  platforms: platforms
    .default([])
    .describe(
      'Platforms, such as linux/amd64. Berth takes an image of this registry only if it has all of them. Default: none.',
    ),
  authHosts: z
    .array(z.string().min(1))
    .default([])
    .describe(
      'Other hosts that may issue tokens for this registry. Default: none, besides the registry itself.',
    ),
  allowPlainHttpAuth: z
    .boolean()
    .default(false)
    .describe(
      'True: Berth may send credentials to this registry over plain HTTP, but not through a proxy of the environment. Default: false.',
    ),
})
