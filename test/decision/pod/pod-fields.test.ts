import { fc, runs } from '../../support/fast-check.ts'
import { describe, expect, it } from 'vitest'
import { readRecords } from '../../../src/decision/pod/images-annotation.ts'
import { buildPatch, roomForAnnotation } from '../../../src/decision/pod/patch.ts'
import { readPodContext } from '../../../src/decision/pod/pod-context.ts'
import { createConflictTest } from '../../../src/decision/pod/conflict-owners.ts'
import { podFields } from '../../../src/decision/pod/pod-fields.ts'
import { requiredAffinityKey } from '../../../src/decision/pod/pod-platforms.ts'
import { listedPullSecrets } from '../../../src/decision/pod/pull-secrets.ts'
import { revisionOf } from '../../../src/decision/pod/revision.ts'
import { findSites, isMirrorPod } from '../../../src/decision/pod/sites.ts'
import { pod } from '../../robustness/pods.ts'

/** Everything that admission reads from a pod. */
function readAll(value: unknown): unknown {
  const sites = findSites(value)
  return {
    sites,
    records: readRecords(value),
    secrets: listedPullSecrets(value),
    isMirrorPod: isMirrorPod(value),
    context: readPodContext(value, 'team'),
    revision: revisionOf(value, 'team'),
    room: roomForAnnotation(value, 'berth.dev/images'),
    patch: buildPatch(value, {
      sites: sites.map((site) => ({ site, image: 'x', pullPolicy: 'Never' })),
      annotation: { key: 'berth.dev/images', value: 'x' },
      pullSecrets: ['added'],
    }),
  }
}

describe('podFields', () => {
  it('returns a pod that reads and patches like the whole one', () => {
    fc.assert(
      fc.property(pod, (text) => {
        const whole: unknown = JSON.parse(text)

        expect(readAll(podFields(whole))).toEqual(readAll(whole))
      }),
      runs(500),
    )
  })

  it('keeps the controller by which the list of owners in conflict names the pod', () => {
    const controller = { apiVersion: 'db.example/v1', kind: 'Database', name: 'one', uid: 'u' }
    const database = { metadata: { ownerReferences: [{ ...controller, controller: true }] } }
    const entry = { kind: 'db.example/Database', namespace: 'team', name: 'one', uid: 'u' }
    const isInConflict = createConflictTest([
      { ...entry, since: '2026-01-01T00:00:00Z', until: '2026-01-08T00:00:00Z' },
    ])

    for (const each of [database, podFields(database)])
      expect(isInConflict(each, 'team', Date.parse('2026-01-02T00:00:00Z'))).toBe(true)
  })

  it('leaves out what admission does not read', () => {
    const container = { name: 'a', image: 'b', imagePullPolicy: 'Always' }

    expect(
      podFields({
        metadata: {
          name: 'p',
          annotations: { a: 'b' },
          labels: { c: 'd' },
          ownerReferences: [
            {
              apiVersion: 'apps/v1',
              kind: 'ReplicaSet',
              name: 'r',
              uid: 'u',
              controller: true,
              blockOwnerDeletion: true,
            },
            null,
          ],
          finalizers: ['x'],
        },
        spec: {
          containers: [{ ...container, env: [{ name: 'A', value: 'B' }] }, null],
          volumes: [
            { name: 'v', image: { reference: 'c', pullPolicy: 'Never', x: 1 } },
            { name: 'w' },
          ],
          nodeSelector: { 'kubernetes.io/arch': 'arm64', e: 'f' },
          affinity: {
            nodeAffinity: { [requiredAffinityKey]: { nodeSelectorTerms: [] } },
            podAffinity: {},
          },
          tolerations: [],
        },
        status: {},
      }),
    ).toEqual({
      metadata: {
        name: 'p',
        annotations: { a: 'b' },
        labels: { c: 'd' },
        ownerReferences: [
          { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'r', uid: 'u', controller: true },
          null,
        ],
      },
      spec: {
        containers: [container, null],
        volumes: [{ name: 'v', image: { reference: 'c', pullPolicy: 'Never' } }, { name: 'w' }],
        nodeSelector: { 'kubernetes.io/arch': 'arm64' },
        affinity: { nodeAffinity: { [requiredAffinityKey]: { nodeSelectorTerms: [] } } },
      },
    })
  })
})
