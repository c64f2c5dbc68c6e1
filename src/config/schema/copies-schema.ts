/** The schema of `pullSecretCopies`. */
import { z } from 'zod'
import { object, secretName } from './values.ts'
import { labelSelector } from './when-schema.ts'

/** Selects objects by name, or by name and labels. */
const nameSelector = z.union(
  [
    z.array(z.string().min(1)),
    object({
      names: z
        .array(z.string().min(1))
        .default(['*'])
        .describe('Names, or globs for names. Default: all.'),
      selector: labelSelector.describe('A label selector. The name must match too.'),
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

export const copiesSchema = object({
  copies: z.array(secretCopy).default([]).describe('One entry for each secret. Default: none.'),
  stuckPods: z
    .enum(['report', 'recreate'])
    .default('report')
    .describe(
      'Pods that started before they had their copy: report them with an Event, or evict them so that their controller recreates them. The top-level key `stuckPods` is a different setting. Default: report.',
    ),
  rbac: z
    .enum(['cluster', 'namespaced'])
    .default('cluster')
    .describe(
      'namespaced: the controller has a Role in each namespace instead of a ClusterRole; list each namespace by its full name. Default: cluster.',
    ),
  writesPerSecond: z
    .int()
    .min(1)
    .max(100)
    .default(10)
    .describe(
      'The maximum number of writes to the Kubernetes API per second: copies, links, Events and evictions. 1 to 100. Default: 10.',
    ),
})
  .default({ copies: [], stuckPods: 'report', rbac: 'cluster', writesPerSecond: 10 })
  .describe('Pull secrets that the controller copies to namespaces.')
