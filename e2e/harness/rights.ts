/** The rights that the manifests of deploy/ grant to Berth, and those that the audit log shows in use. */
import { createReadStream, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseAllDocuments } from 'yaml'
import type { AuditEvent } from './audit-log.ts'
import { currentCluster } from './cluster.ts'
import type { KubeObject } from './kubectl.ts'
import { repository } from './paths.ts'

type Rule = { apiGroups: string[]; resources: string[]; verbs: string[] }
type Role = KubeObject & { rules?: Rule[] }
type Binding = KubeObject & {
  roleRef?: { kind: string; name: string }
  subjects?: { name: string }[]
}

/**
 * Returns the rights of Berth's service accounts, such as `berth-controller: list pods`, with the name of the role that
 * grants each.
 */
export function grantedRights(): Map<string, string> {
  const rights = new Map<string, string>()
  for (const file of manifestFiles()) {
    const objects = parseAllDocuments(readFileSync(file, 'utf8')).map(
      (document) => (document.toJS() ?? {}) as Role & Binding,
    )
    const bindings = objects.filter(({ roleRef }) => roleRef !== undefined)
    for (const [right, role] of bindings.flatMap((binding) => rightsBy(binding, objects)))
      rights.set(right, role)
  }
  return rights
}

/** Returns the rights that a binding grants, each with the name of the role. */
function rightsBy({ roleRef, subjects = [] }: Binding, roles: readonly Role[]): [string, string][] {
  const { kind: wanted = '', name: role = '' } = roleRef ?? {}
  const { rules = [] } =
    roles.find(({ kind, metadata }) => kind === wanted && metadata.name === role) ?? {}
  return subjects.flatMap(({ name }) =>
    rules.flatMap(rightsOf).map((right): [string, string] => [`${name}: ${right}`, role]),
  )
}

function manifestFiles(): string[] {
  const deploy = join(repository, 'deploy')
  const components = readdirSync(join(deploy, 'components')).map((name) => `components/${name}`)
  return ['base', 'rbac', ...components].flatMap((directory) =>
    readdirSync(join(deploy, directory))
      .filter((name) => name.endsWith('.yaml') && name !== 'kustomization.yaml')
      .map((name) => join(deploy, directory, name)),
  )
}

function rightsOf({ apiGroups, resources, verbs }: Rule): string[] {
  return apiGroups.flatMap((group) =>
    resources.flatMap((resource) => verbs.map((verb) => formatRight(verb, resource, group))),
  )
}

function formatRight(verb: string, resource: string, group = ''): string {
  return `${verb} ${resource}${group === '' ? '' : ` in ${group}`}`
}

/** How often Berth's accounts used a right, and how often the API server refused it, by account and address, which is a pod's. */
export type RightUse = { allowed: number; refused: Map<string, number> }

/** The accounts in the scenarios that stand for an account of the manifests. */
const accounts: Readonly<Record<string, string>> = {
  'berth-controller': 'berth-controller',
  'berth-confined': 'berth-controller',
  'berth-webhook': 'berth-webhook',
}

const userPattern = /"username":"system:serviceaccount:[^":]+:(berth-[a-z]+)"/

/** Every account has the rights to ask about its own rights. */
const ownGroups = new Set(['authorization.k8s.io', 'authentication.k8s.io'])

/** Reads the whole audit log, or those of all clusters in `BERTH_E2E_AUDIT_LOGS` if scenarios run on several. */
export async function usedRights(): Promise<Map<string, RightUse>> {
  const { BERTH_E2E_AUDIT_LOGS: logs } = process.env
  const files = logs?.split(':') ?? [currentCluster().auditLog]
  const rights = new Map<string, RightUse>()
  for (const file of files) await addUses(rights, file)
  return rights
}

async function addUses(rights: Map<string, RightUse>, auditLog: string): Promise<void> {
  for await (const line of createInterface({ input: createReadStream(auditLog) })) {
    const account = accounts[userPattern.exec(line)?.[1] ?? '']
    if (account === undefined) continue
    const { verb, objectRef, user, sourceIPs, annotations = {} } = JSON.parse(line) as AuditEvent
    if (objectRef === undefined || ownGroups.has(objectRef.apiGroup ?? '')) continue
    const { resource, subresource, apiGroup } = objectRef
    const path = subresource === undefined ? resource : `${resource}/${subresource}`
    const right = `${account}: ${formatRight(verb, path, apiGroup)}`
    const use = rights.get(right) ?? { allowed: 0, refused: new Map<string, number>() }
    rights.set(right, use)
    if (annotations['authorization.k8s.io/decision'] === 'allow') use.allowed += 1
    else {
      // Clusters use the same addresses.
      const client = `${user.username} at ${sourceIPs.join()} in ${auditLog}`
      use.refused.set(client, (use.refused.get(client) ?? 0) + 1)
    }
  }
}
