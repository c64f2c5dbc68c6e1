import { describe, expect, it } from 'vitest'
import { readClusterFacts } from '../../src/init/cluster-facts.ts'
import { type FakeKube, startFakeKube } from '../support/fake-kube.ts'

function addPod(kube: FakeKube, name: string, image: string, more: object = {}) {
  kube.put('pods', {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop', ...more },
    ...({ spec: { containers: [{ name: 'main', image }] } } as object),
  })
}

function addNode(kube: FakeKube, name: string, architecture: string, address: string) {
  kube.put('nodes', {
    metadata: { name },
    ...({
      status: {
        nodeInfo: { operatingSystem: 'linux', architecture },
        addresses: [{ type: 'InternalIP', address }],
      },
    } as object),
  })
}

describe('readClusterFacts', () => {
  it('reads the requested images, the platforms and the operators', async () => {
    const kube = startFakeKube()
    addNode(kube, 'a', 'arm64', '10.0.0.1')
    addNode(kube, 'b', 'amd64', '10.0.0.2')
    addNode(kube, 'c', 'amd64', '10.0.0.3')
    addNode(kube, 'odd', 'x\ny', '')
    addPod(kube, 'web', 'nginx:1')
    addPod(kube, 'again', 'nginx:1')
    addPod(kube, 'rewritten', 'm.example/docker.io/library/redis:7', {
      annotations: {
        'berth.dev/images': JSON.stringify([
          {
            site: 'containers/main',
            from: 'redis:7',
            to: 'm.example/docker.io/library/redis:7',
            row: 'a',
            why: 'found',
          },
        ]),
      },
    })
    addPod(kube, 'db', 'ghcr.io/cloudnative-pg/postgresql:17', {
      ownerReferences: [
        { apiVersion: 'postgresql.cnpg.io/v1', kind: 'Cluster', name: 'db', uid: 'u' },
      ],
    })

    const facts = await readClusterFacts(kube.api)

    expect([...facts.images].sort()).toEqual([
      'ghcr.io/cloudnative-pg/postgresql:17',
      'nginx:1',
      'redis:7',
    ])
    expect(facts).toMatchObject({
      platforms: ['linux/amd64', 'linux/arm64'],
      operators: ['CloudNativePG'],
      microk8sRegistry: null,
    })
  })

  it('finds the registry add-on of MicroK8s at a node', async () => {
    const kube = startFakeKube()
    addNode(kube, 'a', 'amd64', 'fd00::7')
    kube.put('services', {
      metadata: { name: 'registry', namespace: 'container-registry' },
      ...({ spec: { type: 'NodePort', ports: [{ port: 5000, nodePort: 32_000 }] } } as object),
    })

    expect((await readClusterFacts(kube.api)).microk8sRegistry).toBe('http://[fd00::7]:32000')
  })
})
