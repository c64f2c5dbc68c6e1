import { describe, expect, it } from 'vitest'
import { readConfig } from '../../../src/config/load.ts'
import { KubeError } from '../../../src/kube/error.ts'
import { syncCopies } from '../../../src/pull-secrets/cluster/sync-copies.ts'
import { startFakeKube } from '../../support/fake-kube.ts'
import { putNamespaces, secretsOf, source } from '../../support/pull-secrets-loop.ts'

function settings() {
  const result = readConfig(
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
pullSecretCopies:
  copies:
    - { name: one, from: [home/src], namespaces: [app1] }
    - { name: two, from: [home/src], namespaces: [app1] }`,
    '.',
  )
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  return result.config.pullSecretCopies
}

describe('syncCopies', () => {
  it('writes the other copies and their links when one copy is refused', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('x'))
    putNamespaces(kube, ['app1'])
    kube.refuseAlways(
      ({ about }) => about === 'secrets app1/one',
      new KubeError(403, 'Forbidden', 'exceeded quota'),
    )
    const { signal } = new AbortController()
    const { written, problems } = await syncCopies({
      api: kube.api,
      settings: settings(),
      namespace: null,
      signal,
    })

    expect(written.map(({ action, object, reason }) => `${action} ${object}: ${reason}`)).toEqual([
      'create secret two: the copy is missing',
      'link serviceaccount default: imagePullSecrets lacks two',
    ])
    expect(problems).toMatchObject([
      { action: 'failed', object: 'secret one', reason: 'exceeded quota' },
    ])
    expect(secretsOf(kube, 'app1')).toEqual(['two'])
  })

  it('adopts a secret with the same content, and reports one with another content', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('x'))
    const left = (name: string, password: string) => ({
      ...source(password),
      metadata: { name, namespace: 'app1' },
    })
    kube.put('secrets', left('one', 'x'))
    kube.put('secrets', left('two', 'y'))
    putNamespaces(kube, ['app1'])
    const { signal } = new AbortController()
    const options = { api: kube.api, settings: settings(), namespace: null, signal }
    const { written, problems } = await syncCopies(options)

    expect(written.map(({ action, object }) => `${action} ${object}`)).toEqual([
      'update secret one',
      'link serviceaccount default',
    ])
    expect(problems).toMatchObject([{ action: 'conflict', object: 'secret two' }])
  })
})
