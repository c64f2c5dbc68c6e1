import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { createTestCertificate } from '../../test/support/registry-tls.ts'
import { runBerth } from '../harness/berth-cli.ts'
import { currentCluster } from '../harness/cluster.ts'
import { crdFiles } from '../harness/crd-modules.ts'
import { withoutSortWarning } from '../harness/overlay.ts'
import { apply, kubectl, kubectlOk, type KubeObject, waitForKinds } from '../harness/kubectl.ts'
import {
  componentLines,
  lintChart,
  parseObjects,
  renderChart,
  renderKustomize,
} from '../harness/manifests.ts'
import { repository } from '../harness/paths.ts'

/** The manifests of deploy/: kustomize and Helm render the same objects, and an API server accepts them. */
const { runDir } = currentCluster()

function kustomization(name: string, components: readonly string[]): string {
  const directory = join(runDir, `components-${name}`)
  mkdirSync(directory, { recursive: true })
  const text = componentLines(directory, components)
  writeFileSync(join(directory, 'kustomization.yaml'), `sortOptions: { order: fifo }\n${text}\n`)
  return directory
}

/** The labels of a Helm release, which kustomize does not set. */
const helmLabels = /^(helm\.sh|app\.kubernetes\.io\/(instance|version|managed-by)$)/

/** Returns the objects by kind and name, with parsed files, and without what only Helm or only kustomize has. */
function comparable(objects: readonly KubeObject[]): Record<string, unknown> {
  const entries = objects
    // With Helm the user creates the namespace, and hooks only set the order of deletion.
    .filter(
      ({ kind, metadata }) =>
        kind !== 'Namespace' && !('helm.sh/hook' in (metadata.annotations ?? {})),
    )
    .map((object) => {
      const { labels = {}, ...metadata } = object.metadata as {
        labels?: Record<string, string>
        name: string
      }
      const kept = Object.entries(labels).filter(([key]) => !helmLabels.test(key))
      const data = object['data'] as Record<string, string> | undefined
      const read =
        data &&
        Object.fromEntries(Object.entries(data).map(([key, text]) => [key, contentOf(key, text)]))
      return [
        `${object.kind}/${metadata.name}`,
        {
          ...object,
          metadata: { ...metadata, labels: Object.fromEntries(kept) },
          ...(read && { data: read }),
        },
      ]
    })
  return Object.fromEntries(entries) as Record<string, unknown>
}

function contentOf(name: string, text: string): unknown {
  if (/\.(ya?ml|json)$/.test(name)) return parse(text)
  return text
}

describe('Helm and kustomize', () => {
  test.each([
    ['the defaults', [], []],
    ['opt-in', ['opt-in'], ['webhook.optIn=true']],
    ['fail-closed', ['fail-closed'], ['webhook.failurePolicy=Fail', 'webhook.replicas=3']],
    ['cert-manager', ['cert-manager'], ['certificate.provider=cert-manager']],
    ['mounted-certificate', ['mounted-certificate'], ['certificate.provider=secret']],
    ['autoscaling', ['autoscaling'], ['autoscaling.enabled=true']],
    ['monitoring', ['monitoring'], ['monitoring.enabled=true']],
    ['ecr-tokens', ['ecr-tokens'], ['controller.ecrSecrets={ecr-pull}']],
    ['mirror', ['mirror'], ['controller.mirror=true']],
    ['pull-failures', ['pull-failures'], ['controller.pullFailures=true']],
    ['leave-conflicts', ['leave-conflicts'], ['controller.leaveConflicts=true']],
    ['proxy', ['proxy'], ['proxy.secret=berth-proxy']],
    ['stuck-pods', ['stuck-pods'], ['controller.stuckPods=true']],
    ['unprocessed-pods', ['unprocessed-pods'], ['controller.unprocessedPods=true']],
    ['availability', ['availability'], ['controller.availability=true']],
    ['console', ['console'], ['controller.console.enabled=true']],
    ['pull-secret-warnings', ['pull-secret-warnings'], ['pullSecretWarnings.enabled=true']],
    ['same-digest', ['same-digest'], ['sameDigest.enabled=true']],
    [
      'same-digest with mounted-certificate',
      ['mounted-certificate', 'same-digest'],
      ['certificate.provider=secret', 'sameDigest.enabled=true'],
    ],
    [
      'pull-secret-warnings with cert-manager',
      ['cert-manager', 'pull-secret-warnings'],
      ['certificate.provider=cert-manager', 'pullSecretWarnings.enabled=true'],
    ],
    [
      'several components',
      ['opt-in', 'fail-closed', 'cert-manager', 'monitoring'],
      [
        'webhook.optIn=true',
        'webhook.failurePolicy=Fail',
        'webhook.replicas=3',
        'certificate.provider=cert-manager',
        'monitoring.enabled=true',
      ],
    ],
  ])('render the same objects: %s', async (name, components, settings) => {
    const fromKustomize = comparable(
      await renderKustomize(kustomization(name.replaceAll(/[ ,]+/g, '-'), components)),
    )
    const fromHelm = comparable(await renderChart(settings))

    expect(Object.keys(fromKustomize).length).toBeGreaterThan(10)
    expect(fromHelm).toEqual(fromKustomize)
  })

  test('list the webhook configuration first, so that a deletion in that order removes it first', async () => {
    const [first] = await renderKustomize(`${repository}deploy/base`)

    expect(first?.kind).toBe('MutatingWebhookConfiguration')
  })
})

describe('berth install', () => {
  const head = 'apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\n'
  const loops =
    'mirror: { running: true }\nconflicts: leave\nstuckPods: report\nunprocessed: report\navailability: {}\n'

  test.each([
    ['a small config', 'registries: [{ host: mirror.corp, mirror: true }]\n', []],
    [
      'a CA, a lock file and secrets',
      `registries:
  - { host: 'mirror.corp:5000', mirror: true, ca: ca.crt, credentials: { secret: a.creds }, clientCertificate: { secret: cert } }
pin: { lock: berth.lock }
`,
      ['--image-pull-secret', 'pull'],
    ],
    [
      'every loop of the controller',
      loops,
      ['--component', 'same-digest', '--component', 'opt-in'],
    ],
    [
      'MicroK8s',
      "registries: [{ host: 'localhost:32000', endpoint: 'http://10.0.0.1:32000', mirror: true }]\n",
      ['--component', 'proxy', '--component', 'fail-closed', '--component', 'cert-manager'],
    ],
  ])('prints what the chart makes of its values: %s', async (name, yaml, options) => {
    const directory = join(runDir, `install-${name.replaceAll(/[ ,]+/g, '-')}`)
    mkdirSync(directory, { recursive: true })
    const config = join(directory, 'berth.yaml')
    writeFileSync(config, head + yaml)
    writeFileSync(join(directory, 'ca.crt'), (await createTestCertificate()).cert)
    writeFileSync(
      join(directory, 'berth.lock'),
      'apiVersion: berth.dev/v1alpha1\nkind: BerthLock\nimages: []\n',
    )
    const berth = async (...more: readonly string[]) => {
      const args = ['install', '--config', config, '--image', 'm.corp/berth:2', ...options, ...more]
      const { code, stdout, stderr } = await runBerth(args)
      if (code !== 0) throw new Error(stderr)
      return stdout
    }
    writeFileSync(join(directory, 'values.yaml'), await berth('--helm-values'))
    const out = join(directory, 'kustomization')
    await berth('--kustomize', out)
    const installed = comparable(parseObjects(await berth()))

    expect(Object.keys(installed).length).toBeGreaterThan(15)
    expect(comparable(await renderChart([], join(directory, 'values.yaml')))).toEqual(installed)
    expect(comparable(await renderKustomize(out))).toEqual(installed)
  })
})

/** Returns the first YAML block of a page that starts with this text. */
function block(page: string, start: string): string {
  const blocks = readFileSync(join(repository, page), 'utf8').matchAll(/^```yaml\n([^]*?)^```$/gm)
  return [...blocks].map(([, body = '']) => body).find((body) => body.startsWith(start)) ?? ''
}

describe('the kustomization of the documentation', () => {
  test('renders with its patches', async () => {
    const directory = join(runDir, 'documented')
    mkdirSync(directory, { recursive: true })
    const kustomizationBlock = block('docs/install.md', '# kustomization.yaml')
    const credentials = block('docs/install.md', 'patches:').replace('patches:\n', '')
    const patches = `${block('docs/operations.md', 'patches:')}${credentials}`
    const here = relative(directory, repository)
    const text = `${kustomizationBlock}\n${patches}\n`.replaceAll('berth/deploy', `${here}/deploy`)
    writeFileSync(join(directory, 'kustomization.yaml'), text)
    writeFileSync(join(directory, 'berth.yaml'), 'kind: BerthConfig\n')
    const rendered = JSON.stringify(await renderKustomize(directory))

    expect(rendered).toContain('"image":"anubis:32000/berth:0.2.0"')
    expect(rendered).toContain('"mountPath":"/var/run/secrets/berth/ghcr-creds"')
    expect(rendered).toContain(`"['anubis:32000', 'ghcr.io/acme']"`)
    expect(rendered).toContain('"berth.yaml":"kind: BerthConfig\\n"')
  })
})

describe('registry credentials', () => {
  test('are mounted into the webhook and the controller, by the lines of the documentation and by the chart', async () => {
    const directory = kustomization('credentials', [])
    const file = join(directory, 'kustomization.yaml')
    writeFileSync(file, `${readFileSync(file, 'utf8')}${block('docs/install.md', 'patches:')}`)
    const fromKustomize = await renderKustomize(directory)
    const mounting = fromKustomize.filter((object) =>
      JSON.stringify(object).includes('"mountPath":"/var/run/secrets/berth/ghcr-creds"'),
    )

    expect(mounting.map(({ metadata }) => metadata.name)).toEqual([
      'berth-webhook',
      'berth-controller',
    ])
    expect(comparable(await renderChart(['registrySecrets={ghcr-creds}']))).toEqual(
      comparable(fromKustomize),
    )
  })
})

describe('the chart', () => {
  test('passes helm lint', async () => {
    expect(await lintChart()).toContain('0 chart(s) failed')
  })

  test.each([
    ['webhook.failurePolicy=Maybe', 'failurePolicy'],
    ['webhok.replicas=3', 'webhok'],
    ['image.digest=sha256:short', 'digest'],
    ['config.kind=Other', 'kind'],
  ])('rejects %s', async (setting, named) => {
    await expect(lintChart([setting])).rejects.toThrow(named)
  })

  // `helm lint` ignores the function fail.
  test.each([
    [
      'url=https://berth.example.com',
      'controller.console.url needs controller.console.tokenSecret',
    ],
    ['tokenSecret=console-token', 'need controller.console.url'],
    ['from[0].podSelector.matchLabels.app=proxy', 'need controller.console.url'],
  ])('does not render a console with only %s', async (setting, named) => {
    const values = ['controller.console.enabled=true', `controller.console.${setting}`]

    await expect(renderChart(values)).rejects.toThrow(named)
  })

  test('mounts a CA bundle and more volumes into both processes, and names the bundle in their environment', async () => {
    const objects = await renderChart([
      'caBundle=-----BEGIN CERTIFICATE-----',
      'extraVolumes[0].name=more',
      'extraVolumes[0].emptyDir.medium=Memory',
      'extraVolumeMounts[0].name=more',
      'extraVolumeMounts[0].mountPath=/more',
    ])
    const text = (kind: string) => JSON.stringify(objects.filter((object) => object.kind === kind))
    const deployments = text('Deployment')

    expect(text('ConfigMap')).toContain('"ca.crt":"-----BEGIN CERTIFICATE-----"')
    for (const part of [
      '{"name":"NODE_EXTRA_CA_CERTS","value":"/etc/berth-ca/ca.crt"}',
      '{"name":"ca-bundle","mountPath":"/etc/berth-ca","readOnly":true}',
      '{"name":"ca-bundle","configMap":{"name":"berth-ca-bundle"}}',
      '{"mountPath":"/more","name":"more"}',
      '{"emptyDir":{"medium":"Memory"},"name":"more"}',
    ])
      expect(deployments.split(part)).toHaveLength(3)
  })

  test('accepts a digest instead of a tag', async () => {
    const digest = `sha256:${'a'.repeat(64)}`

    expect(JSON.stringify(await renderChart([`image.digest=${digest}`]))).toContain(
      `berth.invalid/berth@${digest}"`,
    )
  })
})

describe('an API server', () => {
  beforeAll(async () => {
    for (const file of await crdFiles()) await kubectlOk(['apply', '--server-side', '-f', file])
    await kubectlOk(['wait', '--for=condition=Established', 'crd', '--all'])
    const names = await kubectlOk(['get', 'crd', '-o', 'jsonpath={.items[*].metadata.name}'])
    await waitForKinds(...names.split(' '))
    await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'berth-system' } })
  })

  test.each(['cert-manager', 'opt-in', 'fail-closed', 'microk8s', 'openshift'])(
    'accepts the overlay %s with strict validation',
    async (overlay) => {
      const directory = `${repository}deploy/overlays/${overlay}`
      const args = ['apply', '--dry-run=server', '--validate=strict', '-k', directory]
      const { code, stdout, stderr } = await kubectl(args)

      expect({ code, stderr: withoutSortWarning(stderr) }).toEqual({
        code: 0,
        stderr: '',
      })
      expect(stdout).toContain('deployment.apps/berth-webhook created (server dry run)')
    },
  )

  test('accepts every component', async () => {
    const all = [
      'monitoring',
      'autoscaling',
      'pull-secret-warnings',
      'same-digest',
      'ecr-tokens',
      'mirror',
      'pull-failures',
      'leave-conflicts',
      'stuck-pods',
      'unprocessed-pods',
      'availability',
      'console',
      'cert-manager',
    ]
    const directory = kustomization('all', all)

    expect(
      await kubectlOk(['apply', '--dry-run=server', '--validate=strict', '-k', directory]),
    ).toMatch(
      /servicemonitor.*berth created[^]*horizontalpodautoscaler.*berth-webhook created|horizontalpodautoscaler.*[^]*servicemonitor/,
    )
  })
})
