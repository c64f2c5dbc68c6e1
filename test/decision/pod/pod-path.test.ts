import { describe, expect, it } from 'vitest'
import { valueAt, podPath } from '../../../src/decision/pod/pod-path.ts'

describe('where an object holds a pod', () => {
  it.each([
    ['v1', 'Pod', []],
    ['v1', 'PodTemplate', ['template']],
    ['v1', 'ReplicationController', ['spec', 'template']],
    ['apps/v1', 'Deployment', ['spec', 'template']],
    ['apps/v1beta2', 'StatefulSet', ['spec', 'template']],
    ['apps/v1', 'DaemonSet', ['spec', 'template']],
    ['apps/v1', 'ReplicaSet', ['spec', 'template']],
    ['batch/v1', 'Job', ['spec', 'template']],
    ['batch/v1', 'CronJob', ['spec', 'jobTemplate', 'spec', 'template']],
  ])('%s %s', (apiVersion, kind, path) => {
    expect(podPath({ apiVersion, kind })).toEqual(path)
  })

  it.each([
    [{ apiVersion: 'v1', kind: 'Service' }],
    [{ apiVersion: 'example.com/v1', kind: 'Deployment' }],
    [{ apiVersion: 'v1', kind: 'constructor' }],
    [{ kind: 'Pod' }],
    [null],
    ['Pod'],
  ])('nowhere: %j', (object) => {
    expect(podPath(object)).toBeNull()
  })

  it('of a kind that the caller knows', () => {
    const more = { 'argoproj.io/Rollout': ['spec', 'template'] }

    expect(podPath({ apiVersion: 'argoproj.io/v1alpha1', kind: 'Rollout' }, more)).toEqual([
      'spec',
      'template',
    ])
  })

  it('leads to the pod', () => {
    const job = { spec: { template: { spec: { containers: [] } } } }

    expect(valueAt(job, ['spec', 'template'])).toBe(job.spec.template)
    expect(valueAt({ spec: null }, ['spec', 'template'])).toBeUndefined()
  })
})
