/** Builds the objects of an installation: the manifests of deploy/ with an image, a config and its files. */
import { readManifests, type Manifest } from './component-files.ts'
import type { ConfigNeeds } from './config-needs.ts'

export interface InstallationOptions {
  /** The image of Berth, with a tag or digest. */
  readonly image: string
  /** Pull secrets in Berth's namespace for this image. */
  readonly imagePullSecrets: readonly string[]
  /** Names in deploy/components, in addition to those that the config needs. */
  readonly components: readonly string[]
  /** The text of the config. */
  readonly config: string
  readonly needs: ConfigNeeds
}

/** The namespace of the manifests, and the directory of mounted Secrets (docs/install.md). */
export const installNamespace = 'berth-system'
const secretsDirectory = '/var/run/secrets/berth'

interface PodSpec {
  readonly containers: readonly (Readonly<Record<string, unknown>> & {
    readonly volumeMounts: readonly object[]
  })[]
  readonly volumes: readonly object[]
}

/** Returns the objects in an order in which each can be created, and the API server calls no webhook before its Service exists. */
export function buildInstallation(options: InstallationOptions): readonly Manifest[] {
  const { components, config, needs } = options
  const all = [...new Set([...needs.components, ...components])]
  const objects = readManifests(all).map((object) => adapt(object, options))
  return [...objects, configMap(config, needs)].sort((one, other) => rankOf(one) - rankOf(other))
}

/** The ConfigMap with the config and the files next to it. */
function configMap(config: string, { files }: ConfigNeeds): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: 'berth-config',
      namespace: installNamespace,
      labels: { 'app.kubernetes.io/name': 'berth' },
    },
    data: { 'berth.yaml': config, ...files },
  }
}

function adapt(object: Manifest, options: InstallationOptions): Manifest {
  if (object.kind === 'Deployment') return withPodSpec(object, options)
  if (object.kind === 'ValidatingAdmissionPolicy') return withMirrors(object, options.needs.mirrors)
  return object
}

function withPodSpec(
  object: Manifest,
  { image, imagePullSecrets, needs: { secrets } }: InstallationOptions,
): Manifest {
  const spec = object['spec'] as { readonly template: { readonly spec: PodSpec } }
  const pod = spec.template.spec
  const mounts = secrets.map((name) => ({
    name: volumeOf(name),
    mountPath: `${secretsDirectory}/${name}`,
    readOnly: true,
  }))
  const volumes = secrets.map((name) => ({
    name: volumeOf(name),
    secret: { secretName: name, optional: true },
  }))
  const containers = pod.containers.map((container) => ({
    ...container,
    image,
    volumeMounts: [...container.volumeMounts, ...mounts],
  }))
  return {
    ...object,
    spec: {
      ...spec,
      template: {
        ...spec.template,
        spec: {
          ...(imagePullSecrets.length === 0
            ? {}
            : { imagePullSecrets: imagePullSecrets.map((name) => ({ name })) }),
          ...pod,
          containers,
          volumes: [...pod.volumes, ...volumes],
        },
      },
    },
  }
}

/** As the chart: a Secret's name may have dots, and a volume's may not. */
function volumeOf(secret: string): string {
  return `registry-${secret.replaceAll('.', '-')}`
}

function withMirrors(object: Manifest, mirrors: readonly string[]): Manifest {
  const spec = object['spec'] as { readonly variables: readonly { readonly name: string }[] }
  const variables = spec.variables.map((variable) =>
    variable.name === 'mirrors' ? { ...variable, expression: JSON.stringify(mirrors) } : variable,
  )
  return { ...object, spec: { ...spec, variables } }
}

/** Kinds in their order; others are in the middle. */
const firstKinds = ['Namespace', 'ServiceAccount', 'ResourceQuota']
const lastKinds = ['Deployment', 'MutatingWebhookConfiguration']

function rankOf({ kind = '' }: Manifest): number {
  const first = firstKinds.indexOf(kind)
  return first === -1 ? firstKinds.length + 1 + lastKinds.indexOf(kind) : first
}
