/**
 * Reads the manifests of deploy/ and applies components to them, as kustomize does. Knows only what those files use: resources,
 * components, JSON patches by kind and name, `$patch: delete`, and ConfigMaps from files.
 */
import { readFileSync } from 'node:fs'
import { parse, parseAllDocuments } from 'yaml'
import { applyPatch, type JsonPatch } from '../decision/pod/patch.ts'
import type { KubeObject } from '../kube/object.ts'
import { packageRoot } from '../package-root.ts'

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
  const base = objectsIn(new URL('deploy/base/', packageRoot))
  return components.reduce<readonly Manifest[]>(
    (objects, name) => addComponent(objects, new URL(`deploy/components/${name}/`, packageRoot)),
    base,
  )
}

function objectsIn(directory: URL): readonly Manifest[] {
  const { resources = [], configMapGenerator = [] } = readKustomization(directory)
  return [
    ...resources.flatMap((name) => readResource(new URL(name, directory))),
    ...configMapGenerator.flatMap((map) => generate(map, directory)),
  ]
}

function readResource(url: URL): readonly Manifest[] {
  if (!url.pathname.endsWith('.yaml')) return objectsIn(new URL(`${url.href}/`))
  return parseAllDocuments(readFileSync(url, 'utf8')).map((each) => each.toJS() as Manifest)
}

function readKustomization(directory: URL): Kustomization {
  return parse(readFileSync(new URL('kustomization.yaml', directory), 'utf8')) as Kustomization
}

function addComponent(objects: readonly Manifest[], directory: URL): readonly Manifest[] {
  const { components = [], patches = [] } = readKustomization(directory)
  const before = components.reduce<readonly Manifest[]>(
    (all, name) => addComponent(all, new URL(`${name}/`, directory)),
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
  directory: URL,
): readonly Manifest[] {
  if (name === configName) return []
  const data = Object.fromEntries(
    files.map((file) => [file, readFileSync(new URL(file, directory), 'utf8')]),
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
