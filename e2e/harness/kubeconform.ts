/** kubeconform, with the schemas that the API server of the tests publishes. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './command.ts'
import { buildPublishedProgram } from './go-programs.ts'
import { kubectlOk, type KubeObject } from './kubectl.ts'

/** A schema of OpenAPI 2, whose keywords are those of JSON Schema. */
type Schema = Readonly<Record<string, unknown>>

type Definition = Schema & {
  readonly 'x-kubernetes-group-version-kind'?: readonly {
    readonly group: string
    readonly version: string
    readonly kind: string
  }[]
}

/** Builds kubeconform once; returns the path of the program. */
export function buildKubeconform(): Promise<string> {
  return buildPublishedProgram('github.com/yannh/kubeconform/cmd/kubeconform', 'v0.8.0')
}

/** Writes the schemas of all kinds that the API server knows, and returns kubeconform's option for them. */
export async function writeSchemas(directory: string): Promise<string> {
  const { definitions } = JSON.parse(await kubectlOk(['get', '--raw', '/openapi/v2'])) as {
    definitions: Readonly<Record<string, Definition>>
  }
  mkdirSync(directory, { recursive: true })
  for (const [name, definition] of Object.entries(definitions))
    for (const { group, version, kind } of definition['x-kubernetes-group-version-kind'] ?? []) {
      // kubeconform names a file after the kind, the first part of the group, and the version.
      const parts = [kind, ...(group === '' ? [] : [group.split('.')[0]]), version]
      const file = join(directory, `${parts.join('-').toLowerCase()}.json`)
      writeFileSync(file, JSON.stringify(schemaOf(name, definitions)))
    }
  return join(directory, '{{.ResourceKind}}{{.KindSuffix}}.json')
}

/** Returns the problems that kubeconform finds. A kind without a schema is one. */
export async function kubeconformProblems(
  objects: readonly KubeObject[],
  schemaLocation: string,
): Promise<string[]> {
  const args = ['-schema-location', schemaLocation, '-output', 'json', '-verbose', '-']
  const input = objects.map((object) => `---\n${JSON.stringify(object)}\n`).join('')
  const { stdout, stderr } = await run(await buildKubeconform(), args, { input })
  if (stderr !== '') throw new Error(`kubeconform: ${stderr}`)
  const { resources } = JSON.parse(stdout) as {
    resources: readonly { kind: string; name: string; status: string; msg: string }[]
  }
  if (resources.length !== objects.length)
    throw new Error(`kubeconform read ${resources.length} of ${objects.length} objects`)
  return resources
    .filter(({ status }) => status !== 'statusValid')
    .map(({ kind, name, msg }) => `${kind}/${name}: ${msg}`)
}

/** Returns the schema of a definition with all others that it refers to. Unknown members are errors. */
function schemaOf(name: string, definitions: Readonly<Record<string, Definition>>): Schema {
  const used: Record<string, unknown> = {}
  const use = (each: string): void => {
    if (each in used) return
    used[each] = null
    used[each] = strict(definitions[each] ?? {}, use)
  }
  use(name)
  return { $ref: `#/definitions/${name}`, definitions: used }
}

function strict(value: unknown, use: (definition: string) => void): unknown {
  if (Array.isArray(value)) return value.map((each) => strict(each, use))
  if (typeof value !== 'object' || value === null) return value
  const schema = value as Schema
  const { $ref } = schema
  if (typeof $ref === 'string') use($ref.replace('#/definitions/', ''))
  // Kubernetes takes a number too, but writes "string".
  if (schema['format'] === 'int-or-string') return { type: ['string', 'integer'] }
  const members = Object.fromEntries(
    Object.entries(schema).map(([key, each]) => [key, strict(each, use)]),
  )
  const isClosed =
    typeof schema['properties'] === 'object' &&
    !('additionalProperties' in schema) &&
    schema['x-kubernetes-preserve-unknown-fields'] !== true
  return isClosed && schema['type'] !== undefined
    ? { ...members, additionalProperties: false }
    : members
}
