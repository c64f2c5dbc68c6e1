import { describe, expect, it } from 'vitest'
import { readPodCredentials } from '../../../src/diagnose/evidence/pod-credentials.ts'

describe('the workload of a pod', () => {
  it.each([
    ['apps/v1', { kind: 'StatefulSet', name: 'web' }],
    // OpenKruise; kubectl would patch a StatefulSet of Kubernetes with the same name.
    ['apps.kruise.io/v1beta1', null],
  ])('counts only if its kind is one of Kubernetes: %s', async (apiVersion, workload) => {
    const owner = { apiVersion, kind: 'StatefulSet', name: 'web', uid: 'u', controller: true }
    const pod = { metadata: { name: 'web-0', namespace: 'team', ownerReferences: [owner] } }
    const options = { reference: null, now: 0, readsOwners: true }

    const { credentials } = await readPodCredentials(() => Promise.resolve(null), pod, options)

    expect(credentials.place?.workload?.name).toBe(workload?.name)
  })
})
