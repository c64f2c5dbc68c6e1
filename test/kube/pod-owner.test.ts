import { describe, expect, it } from 'vitest'
import { controllerOf, recreateObstacle } from '../../src/kube/pod-owner.ts'

const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'rs' }

describe('controllerOf', () => {
  it('returns the owner that is the controller', () => {
    const controller = { ...owner, controller: true }

    expect(controllerOf({ ownerReferences: [owner, controller] })).toBe(controller)
  })

  it('returns null for a bare pod', () => {
    expect(controllerOf({})).toBeNull()
    expect(controllerOf({ ownerReferences: [owner] })).toBeNull()
  })
})

describe('recreateObstacle', () => {
  it.each([
    ['a bare pod', null, 'the pod has no controller: delete and recreate it'],
    [
      'a static pod',
      { kind: 'Node', name: 'n1' },
      'the pod is a static pod of node n1: change its manifest there',
    ],
    [
      'a pod of a Job',
      { kind: 'Job', name: 'once' },
      'Job once would count an eviction as a failure: delete the pod',
    ],
    ['a pod of a ReplicaSet', owner, null],
  ])('says what is in the way for %s', (_, of, obstacle) => {
    expect(recreateObstacle(of)).toBe(obstacle)
  })
})
