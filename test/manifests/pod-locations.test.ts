import { describe, expect, it } from 'vitest'
import { readableWorkloads } from '../../src/config/known-workloads.ts'
import { podLocationsIn, type WorkloadKind } from '../../src/manifests/pod-locations.ts'

const template = (image: string) => ({ spec: { containers: [{ name: 'a', image }] } })

function pathsIn(object: unknown, kinds: readonly WorkloadKind[]): string[] {
  return podLocationsIn(object, kinds).map(({ path }) => path.join('.'))
}

describe('podLocationsIn', () => {
  it('finds a template in each member of a map, and in each item of a list', () => {
    const job = {
      apiVersion: 'example.com/v1',
      kind: 'Fleet',
      spec: {
        replicaSpecs: {
          Worker: { template: template('b:1') },
          Master: { template: template('a:1') },
        },
        extra: [{ template: template('c:1') }, { template: 'text' }, null],
      },
    }
    const kinds = [
      {
        kind: 'example.com/Fleet',
        pods: [
          ['spec', 'replicaSpecs', '*', 'template'],
          ['spec', 'extra', '[]', 'template'],
        ],
        images: [],
      },
    ]

    expect(pathsIn(job, kinds)).toEqual([
      'spec.replicaSpecs.Worker.template',
      'spec.replicaSpecs.Master.template',
      'spec.extra.0.template',
    ])
  })

  it('returns a place once that several paths lead to, also if a built-in path does', () => {
    const deployment = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      spec: { template: template('a:1'), image: 'b:1' },
    }
    const kind = {
      kind: 'apps/Deployment',
      pods: [['spec', 'template']],
      images: [
        ['spec', 'image'],
        ['spec', '*'],
        ['spec', 'template', 'spec', 'containers', '[]', 'image'],
      ],
    }

    expect(pathsIn(deployment, [kind, kind])).toEqual(['spec.template', 'spec.image'])
  })

  it('finds the pods and images of known kinds', () => {
    const kinds = readableWorkloads({ workloads: [] })
    const job = {
      apiVersion: 'kubeflow.org/v1',
      kind: 'PyTorchJob',
      spec: { pytorchReplicaSpecs: { Worker: { template: template('b:1') } } },
    }
    const workflow = {
      apiVersion: 'argoproj.io/v1alpha1',
      kind: 'Workflow',
      spec: { templates: [{ container: { image: 'a:1' } }, { sidecars: [{ image: 'b:1' }] }] },
    }
    const cluster = {
      apiVersion: 'postgresql.cnpg.io/v1',
      kind: 'Cluster',
      spec: { imageName: 'c:1' },
    }

    expect(pathsIn(job, kinds)).toEqual(['spec.pytorchReplicaSpecs.Worker.template'])
    expect(pathsIn(workflow, kinds)).toEqual([
      'spec.templates.0.container.image',
      'spec.templates.1.sidecars.0.image',
    ])
    expect(pathsIn(cluster, kinds)).toEqual(['spec.imageName'])
  })
})
