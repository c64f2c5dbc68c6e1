/** Runs `berth install`: prints, writes or applies the objects that run Berth with a config. */
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { loadValidConfig } from '../../config/load.ts'
import { parseReference } from '../../decision/reference/parse.ts'
import { BerthError } from '../../errors.ts'
import { describeFileError } from '../../files/describe-file-error.ts'
import { replaceFile } from '../../files/replace-file.ts'
import { applyObjects, waitForDeployments } from '../../install/apply.ts'
import type { Manifest } from '../../install/component-files.ts'
import { configNeeds } from '../../install/config-needs.ts'
import { type ExistingObject, findExisting } from '../../install/existing-objects.ts'
import { helmValues } from '../../install/helm-values.ts'
import {
  buildInstallation,
  type InstallationOptions,
  installNamespace,
} from '../../install/installation.ts'
import { connect } from '../../kube/connect.ts'
import { listPackageDirectory } from '../../package-root.ts'
import { escapeLine } from '../../text/escape-terminal.ts'
import { findConfigFile } from '../config-file.ts'
import { confirm } from '../confirm.ts'
import { connectOptions } from '../connect-options.ts'
import { type Io, print, printMessage } from '../io.ts'
import type { ConnectionOptions } from '../options.ts'
import { formatYaml } from '../output/print-record.ts'

export interface InstallOptions extends ConnectionOptions {
  readonly image: string
  readonly config?: string
  readonly component: readonly string[]
  readonly imagePullSecret: readonly string[]
  readonly apply?: boolean
  readonly helmValues?: boolean
  readonly kustomize?: string
  readonly yes?: boolean
  readonly takeOwnership?: boolean
  /** In seconds. */
  readonly timeout: number
}

/** The first line of a kustomization that `berth install` wrote, and may write again. */
const kustomizationHeader = '# Written by `berth install --kustomize`.'

/** Returns 0; 1 if the answer is no, or Berth is not ready in time. */
export async function install(options: InstallOptions, io: Io): Promise<number> {
  const installation = readInstallation(options, io)
  if (options.helmValues === true) print(io.stdout, formatYaml(helmValues(installation)))
  else if (options.kustomize !== undefined) writeKustomization(options.kustomize, installation, io)
  else if (options.apply === true) return apply(buildInstallation(installation), options, io)
  else print(io.stdout, yamlOf(buildInstallation(installation)))
  return 0
}

function readInstallation(options: InstallOptions, io: Io): InstallationOptions {
  const { image, component: components, imagePullSecret: imagePullSecrets } = options
  const parsed = parseReference(image)
  if (!parsed.ok) throw new BerthError('usage', `--image ${image}: ${parsed.message}`)
  checkComponents(components)
  const file = findConfigFile(options.config)
  const valid = loadValidConfig(file)
  const needs = configNeeds(valid, dirname(file))
  for (const note of needs.notes) printMessage(io, note)
  for (const secret of new Set([...needs.secrets, ...imagePullSecrets]))
    printMessage(
      io,
      `create the Secret ${secret} in the namespace ${installNamespace}, if it does not exist`,
    )
  const config = withoutSchemaPath(valid.config.source)
  return { image, imagePullSecrets, components, config, needs }
}

/** Removes the comment for editors that `berth init` writes: it names a file of this machine, such as one in the home directory. */
function withoutSchemaPath(config: string): string {
  return config.replace(/^# yaml-language-server: \$schema=\/.*\r?\n/m, '')
}

function checkComponents(given: readonly string[]): void {
  const known = listPackageDirectory('deploy/components')
  const unknown = given.find((name) => !known.includes(name))
  if (unknown !== undefined)
    throw new BerthError('usage', `unknown component ${unknown}; use one of ${known.join(', ')}`)
}

function yamlOf(objects: readonly Manifest[]): string {
  return objects.map((object) => formatYaml(object)).join('---\n')
}

/** Writes the config and its files as they are, so that Git shows their changes, and all other objects into one file. */
function writeKustomization(directory: string, installation: InstallationOptions, io: Io): void {
  const file = join(directory, 'kustomization.yaml')
  const { config, needs } = installation
  const names = ['berth.yaml', ...Object.keys(needs.files)]
  const others = buildInstallation(installation).filter(
    ({ metadata }) => metadata.name !== 'berth-config',
  )
  const isOwn = existsSync(file) && readFileSync(file, 'utf8').startsWith(kustomizationHeader)
  if (listDirectory(directory).length > 0 && !isOwn)
    throw new BerthError(
      'usage',
      `${directory} contains files that berth install did not write; choose another directory`,
    )
  const files: Readonly<Record<string, string>> = {
    ...needs.files,
    'berth.yaml': config,
    'objects.yaml': yamlOf(others),
    'kustomization.yaml': `${kustomizationHeader}
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
sortOptions: { order: fifo }
resources: [objects.yaml]
configMapGenerator:
  - { name: berth-config, namespace: ${installNamespace}, files: [${names.join(', ')}] }
generatorOptions: { disableNameSuffixHash: true, labels: { app.kubernetes.io/name: berth } }
`,
  }
  for (const [name, text] of Object.entries(files)) replaceFile(join(directory, name), text)
  printMessage(io, `wrote ${directory}; apply it with: kubectl apply -k ${directory}`)
}

/** Creates the directory if it does not exist, and returns its files. */
function listDirectory(directory: string): readonly string[] {
  try {
    mkdirSync(directory, { recursive: true })
    return readdirSync(directory)
  } catch (cause) {
    const why = describeFileError(cause)
    throw new BerthError('file-unwritable', `${directory} cannot be created: ${why}`, { cause })
  }
}

/** Throws `usage` if a tool manages some of the objects: it would revert the changes, or delete the objects with its release. */
function refuseManaged(existing: readonly ExistingObject[]): void {
  const managed = existing.filter(({ manager }) => manager !== null)
  if (managed.length === 0) return
  const lines = managed.map(({ name, manager }) => `  ${escapeLine(`${name}: ${manager}`)}`)
  throw new BerthError(
    'usage',
    `other tools manage these objects, and nothing was changed:\n${lines.join('\n')}\nupdate Berth with that tool (berth install --helm-values or --kustomize), remove it there first, or use --take-ownership`,
  )
}

async function apply(
  objects: readonly Manifest[],
  { yes, timeout, takeOwnership, ...connection }: InstallOptions,
  io: Io,
): Promise<number> {
  const cluster = await connect(connectOptions(connection, io))
  try {
    const existing = await findExisting(cluster.api, objects)
    if (takeOwnership !== true) refuseManaged(existing)
    for (const { name, manager } of existing)
      printMessage(
        io,
        escapeLine(`takes over ${name}${manager === null ? '' : ` from ${manager}`}`),
      )
    const question = `Install Berth into ${cluster.context} (${cluster.server})?`
    if (yes !== true && !(await confirm(question, io))) return 1
    const { signal } = io
    await applyObjects(cluster.api, objects, {
      signal,
      onApplied: (name) => print(io.stdout, escapeLine(`applied  ${name}`)),
    })
    const late = await waitForDeployments(cluster.api, objects, {
      signal,
      timeoutMs: timeout * 1_000,
    })
    for (const name of late)
      printMessage(io, `${name} is not ready; see kubectl -n ${installNamespace} describe pods`)
    if (late.length === 0) printMessage(io, 'Berth is ready')
    return late.length === 0 ? 0 : 1
  } finally {
    await cluster.close()
  }
}
