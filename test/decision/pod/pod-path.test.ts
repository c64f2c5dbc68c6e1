import { describe, expect, it } from 'vitest'
import { podPath } from '../../../src/decision/pod/pod-path.ts'

describe('podPath', () => {
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
  ])('returns the path for %s %s', (apiVersion, kind, path) => {
    expect(podPath({ apiVersion, kind })).toEqual(path)
  })

  it.each([
    [{ apiVersion: 'v1', kind: 'Service' }],
    [{ apiVersion: 'example.com/v1', kind: 'Deployment' }],
    [{ apiVersion: 'v1', kind: 'constructor' }],
    [{ kind: 'Pod' }],
    [null],
    ['Pod'],
  ])('returns null for %j', (object) => {
    expect(podPath(object)).toBeNull()
  })
})
