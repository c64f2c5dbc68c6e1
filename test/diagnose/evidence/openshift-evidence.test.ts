import { describe, expect, it } from 'vitest'
import { openShiftFacts } from '../../../src/diagnose/evidence/openshift-evidence.ts'
import { apiOf, type StoredObject } from '../../support/kube-objects.ts'
import { referenceOf } from '../../support/tables.ts'

const groups = ['/apis/config.openshift.io/v1']
const image = referenceOf('registry.redhat.io/redhat/redhat-operator-index:v4.20')
const auth = Buffer.from('user:CANARY').toString('base64')

function globalSecret(hosts: readonly string[], labels: Record<string, string> = {}): StoredObject {
  const auths = Object.fromEntries(hosts.map((host) => [host, { auth }]))
  return {
    resource: 'secrets',
    metadata: { name: 'pull-secret', namespace: 'openshift-config', labels },
    type: 'kubernetes.io/dockerconfigjson',
    data: { '.dockerconfigjson': Buffer.from(JSON.stringify({ auths })).toString('base64') },
  } as StoredObject
}

function pool(name: string, conditions: object[]): StoredObject {
  return {
    resource: 'machineconfigpools',
    metadata: { name },
    status: { conditions },
  } as StoredObject
}

describe('openShiftFacts', () => {
  it('returns null on another cluster', async () => {
    expect(await openShiftFacts(apiOf([globalSecret([])]), image)).toBeNull()
  })

  it('names outdated pools and the hosts of the global pull secret, but no password', async () => {
    const facts = await openShiftFacts(
      apiOf(
        [
          globalSecret(['quay.io', 'registry.redhat.io']),
          pool('master', [{ type: 'Updated', status: 'True' }]),
          pool('worker', [
            { type: 'Updated', status: 'False' },
            { type: 'Degraded', status: 'True' },
          ]),
        ],
        groups,
      ),
      image,
    )

    expect(facts?.evidence.map(({ says }) => says)).toEqual([
      'the global pull secret has an entry for registry.redhat.io; its keys are quay.io, registry.redhat.io',
      'machine config pool worker is not updated and degraded',
    ])
    expect(facts?.fix).toContain('find out why machine config pools are not updated')
    expect(facts?.fix).toContain('do not edit the generated dockercfg secrets')
    expect(JSON.stringify([facts?.evidence, facts?.fix])).not.toContain('CANARY')
    expect(facts?.credentials).toHaveLength(1)
  })

  it('suggests the global pull secret if it has no entry for the registry', async () => {
    const facts = await openShiftFacts(apiOf([globalSecret(['quay.io'])], groups), image)

    expect(facts?.fix).toContain('add registry.redhat.io to the global pull secret')
    expect(facts?.credentials).toEqual([])
  })

  it('says that the global pull secret cannot be read', async () => {
    const secret = globalSecret(['quay.io'], { 'test/forbidden': 'true' })
    const facts = await openShiftFacts(apiOf([secret], groups), image)

    expect(facts).toMatchObject({ fix: null, credentials: [] })
    expect(facts?.evidence[0]?.says).toContain('you may not read the global pull secret')
  })

  it('names the mirror set for the image', async () => {
    const set = {
      resource: 'imagetagmirrorsets',
      metadata: { name: 'redhat' },
      spec: {
        imageTagMirrors: [{ source: 'registry.redhat.io/redhat', mirrors: ['mirror.example/rh'] }],
      },
    } as StoredObject
    const facts = await openShiftFacts(apiOf([globalSecret([]), set], groups), image)

    expect(facts?.evidence.map(({ says }) => says)).toContain(
      'nodes pull from mirror.example/rh first, by tag (imagetagmirrorsets redhat)',
    )
  })
})
