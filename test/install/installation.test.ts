import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { loadValidConfig } from '../../src/config/load.ts'
import { readManifests } from '../../src/install/component-files.ts'
import { configNeeds } from '../../src/install/config-needs.ts'
import { helmValues } from '../../src/install/helm-values.ts'
import { buildInstallation, type InstallationOptions } from '../../src/install/installation.ts'
import { createTestCertificate } from '../support/registry-tls.ts'

const head = 'apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\n'
const quiet = 'pullFailures: { report: false }\n'

async function installationOf(
  yaml: string,
  options: Partial<InstallationOptions> = {},
): Promise<InstallationOptions> {
  const directory = mkdtempSync(join(tmpdir(), 'berth-install-'))
  const { cert, key } = await createTestCertificate()
  writeFileSync(join(directory, 'ca.crt'), cert)
  writeFileSync(join(directory, 'bundle.pem'), cert + key)
  writeFileSync(join(directory, 'docker.json'), '{}')
  writeFileSync(
    join(directory, 'berth.lock'),
    'apiVersion: berth.dev/v1alpha1\nkind: BerthLock\nimages: []\n',
  )
  const file = join(directory, 'berth.yaml')
  writeFileSync(file, head + yaml)
  const valid = loadValidConfig(file)
  return {
    image: 'mirror.corp/berth:1.2',
    imagePullSecrets: [],
    components: [],
    config: valid.config.source,
    needs: configNeeds(valid, directory),
    ...options,
  }
}

const nameOf = ({
  kind,
  metadata,
}: {
  readonly kind?: string
  readonly metadata: { readonly name: string }
}) => `${kind}/${metadata.name}`

interface Deployment {
  readonly metadata: { readonly name: string }
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly imagePullSecrets?: unknown
        readonly containers: readonly { readonly image: string; readonly volumeMounts: unknown }[]
        readonly volumes: unknown
      }
    }
  }
}

function deploymentsOf(options: InstallationOptions): readonly Deployment[] {
  return buildInstallation(options).filter(({ kind }) => kind === 'Deployment') as never
}

describe('buildInstallation', () => {
  it('has the objects of deploy/base, with the image and the config', async () => {
    const options = await installationOf(quiet)
    const base = ['berth.yaml', ...readdirSync('deploy/base')]
      .filter((name) => /^(?:namespace|webhook|controller)/.test(name))
      .flatMap((name) => parseAllDocuments(readFileSync(join('deploy/base', name), 'utf8')))
    const configuration = ['mutating-webhook', 'validating-policy'].flatMap((name) =>
      parseAllDocuments(readFileSync(`webhook-config/${name}.yaml`, 'utf8')),
    )
    const expected = [...base, ...configuration].map((each) => nameOf(each.toJS() as never))
    const built = buildInstallation(options)

    expect(built.map(nameOf).toSorted()).toEqual([...expected, 'ConfigMap/berth-config'].toSorted())
    expect(
      deploymentsOf(options).map(({ spec }) => spec.template.spec.containers[0]?.image),
    ).toEqual(['mirror.corp/berth:1.2', 'mirror.corp/berth:1.2'])
    expect(built.find(({ kind }) => kind === 'ConfigMap')).toMatchObject({
      data: { 'berth.yaml': head + quiet },
    })
  })

  it('creates the namespace first, and the webhook configuration last', async () => {
    const names = buildInstallation(await installationOf(quiet)).map(({ kind }) => kind)

    expect(names[0]).toBe('Namespace')
    expect(names.at(-1)).toBe('MutatingWebhookConfiguration')
    expect(names.indexOf('ConfigMap')).toBeLessThan(names.indexOf('Deployment'))
  })

  it('puts the CA and the lock file next to the config, mounts its Secrets, and lists its mirrors', async () => {
    const options = await installationOf(
      `registries:
  - { host: mirror.corp, mirror: true, ca: ./ca.crt, credentials: { secret: a.creds }, clientCertificate: { secret: cert } }
pin: { lock: berth.lock }
${quiet}`,
      { imagePullSecrets: ['pull'] },
    )
    const built = buildInstallation(options)
    const pods = deploymentsOf(options).map(({ spec }) => spec.template.spec)

    expect(built.find(({ kind }) => kind === 'ConfigMap')).toMatchObject({
      data: {
        'ca.crt': expect.stringContaining('BEGIN CERTIFICATE'),
        'berth.lock': expect.any(String),
      },
    })
    expect(built.find(({ kind }) => kind === 'ValidatingAdmissionPolicy')).toMatchObject({
      spec: {
        variables: expect.arrayContaining([{ name: 'mirrors', expression: '["mirror.corp"]' }]),
      },
    })
    for (const pod of pods) {
      expect(pod.imagePullSecrets).toEqual([{ name: 'pull' }])
      expect(pod.containers[0]?.volumeMounts).toEqual(
        expect.arrayContaining([
          { name: 'registry-a-creds', mountPath: '/var/run/secrets/berth/a.creds', readOnly: true },
          { name: 'registry-cert', mountPath: '/var/run/secrets/berth/cert', readOnly: true },
        ]),
      )
      expect(pod.volumes).toEqual(
        expect.arrayContaining([
          { name: 'registry-a-creds', secret: { secretName: 'a.creds', optional: true } },
        ]),
      )
    }
  })

  it.each([
    ['mirror: { running: true }', 'mirror'],
    ['stuckPods: report', 'stuck-pods'],
    ['unprocessed: report', 'unprocessed-pods'],
    ['conflicts: leave', 'leave-conflicts'],
    ['availability: { interval: 6h }', 'availability'],
    ['reports: { openReports: true }', 'reports'],
    ["registries: [{ host: 'localhost:32000', endpoint: 'http://a.b', mirror: true }]", 'microk8s'],
  ])('grants what the config needs: %s', async (yaml, component) => {
    const { needs } = await installationOf(`${yaml}\n${quiet}`)

    expect(needs.components).toContain(component)
    expect((await installationOf(quiet)).needs.components).toEqual([])
  })

  it.each([
    ["{ host: 'localhost:32000', mirror: true }", 'https://localhost:32000'],
    ["{ host: 'localhost:32000', endpoint: 'http://127.0.0.1:5000' }", 'http://127.0.0.1:5000'],
    ["{ host: m.corp, endpoint: 'http://127.9.9.9' }", 'http://127.9.9.9'],
    ["{ host: m.corp, endpoint: 'https://[::1]:5000' }", 'https://[::1]:5000'],
    ["{ host: m.corp, proxy: 'http://localhost:3128' }", 'the proxy http://localhost:3128'],
  ])('notes addresses that are the pod itself in a pod: %s', async (registry, address) => {
    const { needs } = await installationOf(`registries: [${registry}]\n${quiet}`)

    expect(needs.notes).toEqual([expect.stringContaining(address)])
    expect(needs.notes[0]).toMatch(/^pods of Berth cannot reach /)
  })

  it('notes nothing about addresses that pods reach', async () => {
    const { needs } = await installationOf(
      `registries: [{ host: 'localhost:32000', endpoint: 'http://registry.a.svc:5000' }, { host: a.corp, proxy: 'http://p.corp:1' }, { host: b.corp, proxy: none }]\n${quiet}`,
    )

    expect(needs.notes).toEqual([])
  })

  it.each([
    ['credentials: { dockerConfig: docker.json }', 'must not be in a ConfigMap'],
    ['clientCertificate: { cert: ca.crt, key: key.pem }', 'must not be in a ConfigMap'],
    ['proxy: "http://user:pass@proxy.corp:3128"', 'must not be in a ConfigMap'],
    ['ca: bundle.pem', 'bundle.pem contains a private key, which must not be in a ConfigMap'],
    ['ca: ../berth-ca/ca.crt', 'cannot read'],
  ])('does not put a login or a key into a ConfigMap: %s', async (entry, message) => {
    await expect(
      installationOf(`registries: [{ host: m.corp, mirror: true, ${entry} }]\n`),
    ).rejects.toThrow(message)
  })
})

describe('readManifests', () => {
  const components = readdirSync('deploy/components')

  it.each(components)('applies the component %s', (name) => {
    const before = readManifests([])
    const after = readManifests([name])

    expect(after).not.toEqual(before)
  })

  it('removes what a component deletes', () => {
    const names = readManifests(['cert-manager']).map(nameOf)

    expect(names).toContain('Certificate/berth-webhook')
    expect(names).not.toContain('Role/berth-webhook-certificate')
  })
})

describe('helmValues', () => {
  it('has a value for every component that the chart knows', async () => {
    const page = readFileSync('docs/install.md', 'utf8')
    const known = [...page.matchAll(/^\| ((?:`[a-z-]+`(?:, )?)+) \| `[a-z]+[A-Z.`]/gm)].flatMap(
      ([, cell = '']) => [...cell.matchAll(/`([a-z-]+)`/g)].map(([, name = '']) => name),
    )
    const options = await installationOf(quiet)

    expect(known.length).toBeGreaterThan(12)
    for (const name of known.filter((each) => each !== 'ecr-tokens'))
      expect(Object.keys(helmValues({ ...options, components: [name] })).length).toBeGreaterThan(1)
    expect(() => helmValues({ ...options, components: ['openshift'] })).toThrow('has no value')
  })

  it.each([
    ['a.b:5000/berth:1', { repository: 'a.b:5000/berth', tag: '1' }],
    ['a.b:5000/berth', { repository: 'a.b:5000/berth' }],
    ['a.b/berth:1@sha256:0', { repository: 'a.b/berth', tag: '1', digest: 'sha256:0' }],
  ])('splits the image %s', async (image, expected) => {
    expect(helmValues({ ...(await installationOf(quiet)), image })).toMatchObject({
      image: expected,
    })
  })
})
