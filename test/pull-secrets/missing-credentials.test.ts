import { describe, expect, it } from 'vitest'
import { findMissingCredentials, type PodNeed } from '../../src/pull-secrets/missing-credentials.ts'

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64')
const auth = Buffer.from('u:p').toString('base64')
const internal = [
  '172.30.166.97:5000',
  'image-registry.openshift-image-registry.svc.cluster.local:5000',
]

/** A service account as OpenShift creates it: its generated secret has only the internal registry. */
function openshift(account: string, more: readonly string[] = []) {
  const generated = `${account}-dockercfg-x7k2p`
  return {
    accounts: new Map([[`openshift-marketplace/${account}`, [generated, ...more]]]),
    secrets: new Map([
      [
        `openshift-marketplace/${generated}`,
        {
          type: 'kubernetes.io/dockercfg',
          data: {
            '.dockercfg': encode(Object.fromEntries(internal.map((key) => [key, { auth }]))),
          },
        },
      ],
      [
        'openshift-marketplace/global',
        {
          type: 'kubernetes.io/dockerconfigjson',
          data: { '.dockerconfigjson': encode({ auths: { 'registry.redhat.io': { auth } } }) },
        },
      ],
    ]),
    pod: {
      namespace: 'openshift-marketplace',
      name: `${account}-1`,
      account,
      images: [
        'registry.redhat.io/redhat/redhat-operator-index:v4.20',
        `${internal[0]}/openshift/cli:latest`,
      ],
      pullSecrets: [generated],
      waitsFor: ['registry.redhat.io/redhat/redhat-operator-index:v4.20'],
    } satisfies PodNeed,
  }
}

const sources = [
  {
    name: 'openshift-config/pull-secret',
    keys: ['quay.io', 'registry.redhat.io', 'cloud.openshift.com'],
  },
]

describe('missing credentials', () => {
  it('are found for a service account with only generated secrets', () => {
    const { pod, accounts, secrets } = openshift('redhat-operators')

    expect(findMissingCredentials({ pods: [pod], accounts, secrets, sources })).toEqual([
      {
        namespace: 'openshift-marketplace',
        serviceAccount: 'redhat-operators',
        registry: 'registry.redhat.io',
        source: 'openshift-config/pull-secret',
        pods: ['redhat-operators-1'],
        stuck: 1,
        isLinked: false,
      },
    ])
  })

  it('are found only for older pods when the service account has the secret', () => {
    const { pod, accounts, secrets } = openshift('redhat-operators', ['global'])
    const newPod = { ...pod, name: 'new', pullSecrets: [...pod.pullSecrets, 'global'] }

    expect(
      findMissingCredentials({ pods: [pod, newPod], accounts, secrets, sources }),
    ).toMatchObject([{ isLinked: true, pods: ['redhat-operators-1'] }])
  })

  it('are not reported for a registry that no source has', () => {
    const { pod, accounts, secrets } = openshift('redhat-operators')
    const other = { ...pod, images: ['docker.io/library/nginx', 'Not A Name'] }

    expect(findMissingCredentials({ pods: [other], accounts, secrets, sources })).toEqual([])
  })

  it('count each pod once', () => {
    const { pod, accounts, secrets } = openshift('redhat-operators')
    const twice = {
      ...pod,
      images: [...pod.images, 'registry.redhat.io/a', 'registry.redhat.io/b'],
    }

    expect(
      findMissingCredentials({
        pods: [twice, { ...pod, name: 'b', waitsFor: [`${internal[0]}/openshift/cli:latest`] }],
        accounts,
        secrets,
        sources,
      }),
    ).toMatchObject([{ pods: ['redhat-operators-1', 'b'], stuck: 1 }])
  })
})
