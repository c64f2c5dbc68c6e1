/**
 * Reads the manifests of deploy/ and applies components to them, as kustomize does. Knows only what those files use: resources,
 * components, JSON patches by kind and name, `$patch: delete`, and ConfigMaps from files.
 */
import { posix } from 'node:path'
import { parse, parseAllDocuments } from 'yaml'
import { applyPatch, type JsonPatch } from '../decision/pod/patch.ts'
import type { KubeObject } from '../kube/object.ts'
import { readPackageFile } from '../package-root.ts'

export type Manifest = KubeObject & { readonly [key: string]: unknown }

interface Kustomization {
  readonly resources?: readonly string[]
  readonly components?: readonly string[]
  readonly patches?: readonly {
    readonly target?: { readonly kind: string; readonly name: string }
    readonly patch: string
  }[]
  readonly configMapGenerator?: readonly GeneratedConfigMap[]
}

interface GeneratedConfigMap {
  readonly name: string
  readonly namespace: string
  readonly behavior?: string
  readonly files: readonly string[]
  readonly options?: { readonly labels?: Readonly<Record<string, string>> }
}

/** The ConfigMap whose content is the config, which the caller adds. */
const configName = 'berth-config'

/** Returns the objects of deploy/base with these components, without the ConfigMap of the config. */
export function readManifests(components: readonly string[]): readonly Manifest[] {
  const base = objectsIn('deploy/base')
  return components.reduce<readonly Manifest[]>(
    (objects, name) => addComponent(objects, `deploy/components/${name}`),
    base,
  )
}

function objectsIn(directory: string): readonly Manifest[] {
  const { resources = [], configMapGenerator = [] } = readKustomization(directory)
  return [
    ...resources.flatMap((name) => readResource(posix.join(directory, name))),
    ...configMapGenerator.flatMap((map) => generate(map, directory)),
  ]
}

function readResource(path: string): readonly Manifest[] {
  if (!path.endsWith('.yaml')) return objectsIn(path)
  return parseAllDocuments(readPackageFile(path)).map((each) => each.toJS() as Manifest)
}

/** `directory` is relative to the root of the package, as in the functions below. */
function readKustomization(directory: string): Kustomization {
  return parse(readPackageFile(`${directory}/kustomization.yaml`)) as Kustomization
}

function addComponent(objects: readonly Manifest[], directory: string): readonly Manifest[] {
  const { components = [], patches = [] } = readKustomization(directory)
  const before = components.reduce<readonly Manifest[]>(
    (all, name) => addComponent(all, posix.join(directory, name)),
    objects,
  )
  return patches.reduce<readonly Manifest[]>(
    (all, { target, patch }) => {
      const content: unknown = parse(patch)
      return target === undefined
        ? all.filter((object) => !isSame(object, content as Manifest))
        : all.map((object) =>
            isTarget(object, target)
              ? (applyPatch(object, content as JsonPatch) as Manifest)
              : object,
          )
    },
    [...before, ...objectsIn(directory)],
  )
}

function isSame({ kind, metadata }: Manifest, other: Manifest): boolean {
  return kind === other.kind && metadata.name === other.metadata.name
}

/** A name is a pattern for the whole name, as in kustomize. */
function isTarget(
  { kind, metadata }: Manifest,
  target: { readonly kind: string; readonly name: string },
): boolean {
  return kind === target.kind && new RegExp(`^(?:${target.name})$`).test(metadata.name)
}

function generate(
  { name, namespace, files, options = {} }: GeneratedConfigMap,
  directory: string,
): readonly Manifest[] {
  if (name === configName) return []
  const data = Object.fromEntries(
    files.map((file) => [file, readPackageFile(posix.join(directory, file))]),
  )
  return [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace, ...(options.labels && { labels: options.labels }) },
      data,
    },
  ]
}
