/** The schema of `when`, and of label selectors. */
import { z } from 'zod'
import { object } from './values.ts'

export const labelSelector = object({
  matchLabels: z
    .record(z.string(), z.string())
    .default({})
    .describe('Labels that must have these values. Default: none.'),
  matchExpressions: z
    .array(
      object({
        key: z.string().min(1).describe('The label.'),
        operator: z
          .enum(['In', 'NotIn', 'Exists', 'DoesNotExist'])
          .describe('How to compare the label with the values.'),
        values: z
          .array(z.string())
          .default([])
          .describe('The values for In and NotIn. Default: none.'),
      }),
    )
    .default([])
    .describe('Requirements for labels, as in Kubernetes. All must hold. Default: none.'),
})

/** The kind of an owner. The core group is empty, as in `workloads`. */
export const ownerKind = z.string().regex(/^[a-z0-9.-]*\/[A-Z][A-Za-z0-9]*$/, {
  error:
    'not a kind; write GROUP/KIND without the version, for example apps/ReplicaSet, or /KIND for the core group',
})

/** The conditions of rows and rules. */
export const when = object({
  namespaces: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe('Names of namespaces, or globs for whole names. Default: all namespaces.'),
  pods: labelSelector
    .optional()
    .describe('A label selector for pods, as in Kubernetes. Default: all pods.'),
  owners: z
    .array(
      z.string().regex(/^[a-z0-9.-]*\/(?:[A-Z][A-Za-z0-9]*|\*)$/, {
        error:
          'not a kind; write GROUP/KIND without the version, GROUP/* for all kinds of a group, or /KIND for the core group',
      }),
    )
    .min(1)
    .optional()
    .describe(
      "Kinds of the pod's owner references: GROUP/KIND, GROUP/*, or /KIND for the core group. One must match. Example: apps/ReplicaSet. Default: all owners, and none.",
    ),
}).describe('The pods that this is for. All conditions must hold. Default: all pods.')
