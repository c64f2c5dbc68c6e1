/** Kustomizations of deploy/ with a config. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { currentCluster } from './cluster.ts'
import { repository } from './paths.ts'

/** The namespace in the manifests of deploy/. */
export const namespace = 'berth-system'

type OverlaySettings = {
  /** The kustomization that the overlay builds on, as a path in the repository. */
  base: string
  /** The files of the ConfigMap berth-config. */
  files: Record<string, string>
  /** The checkout whose manifests it uses. Default: this one. */
  checkout?: string
  /** Names under deploy/components. */
  components?: readonly string[]
  /** More lines of kustomization.yaml. */
  extra?: string
}

/** Writes a kustomization with a config, as a user would; returns its directory. */
export function writeOverlay(
  name: string,
  { base, files, checkout = repository, components = [], extra = '' }: OverlaySettings,
): string {
  const directory = join(currentCluster().runDir, `overlay-${name}`)
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true })
  for (const [file, content] of Object.entries(files)) writeFileSync(join(directory, file), content)
  const from = (path: string) => relative(directory, join(checkout, path))
  const generated = Object.keys(files).map(
    (file) =>
      `  - { name: berth-config, namespace: ${namespace}, behavior: replace, files: [${file}] }`,
  )
  writeFileSync(
    join(directory, 'kustomization.yaml'),
    [
      'sortOptions: { order: fifo }',
      `resources: ['${from(base)}']`,
      `components: ${JSON.stringify(components.map((each) => from(`deploy/components/${each}`)))}`,
      'generatorOptions: { disableNameSuffixHash: true }',
      'configMapGenerator:',
      ...generated,
      extra,
    ].join('\n'),
  )
  return directory
}

/** Removes kubectl's warning that both its own flag and the kustomization set the order of objects. */
export function withoutSortWarning(stderr: string): string {
  return stderr.replace(/.*Sorting order is set both.*\n\n?/, '')
}
