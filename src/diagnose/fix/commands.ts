/**
 * kubectl commands to paste for a finding. They create objects, and replace a secret only when its content is known to be
 * a single entry. Pure.
 */
import { parseEcrHost } from '../../aws/ecr-host.ts'
import type { RuleData } from '../rules/rule.ts'

export interface FixFacts {
  readonly namespaces: readonly string[]
  readonly secrets: readonly string[]
  readonly wantedKey: string | null
  /** True when each secret has a single key, so that replacing it loses nothing. */
  readonly isReplaceable: boolean
}

/**
 * Returns the commands for a rule; none when the right one depends on facts that were not checked. Values for a person to
 * fill in are shell variables, so the text contains no password.
 */
export function fixCommands(
  { command }: Pick<RuleData, 'command'>,
  { namespaces, secrets, wantedKey, isReplaceable }: FixFacts,
): readonly string[] {
  if (command === undefined) return []
  const server = wantedKey ?? '"$REGISTRY"'
  const create = (namespace: string, name: string) =>
    `kubectl create secret docker-registry ${name} -n ${namespace} --docker-server=${server} ${loginFor(wantedKey)}`
  const forEach = (names: readonly string[], format: typeof create) =>
    namespaces.flatMap((namespace) => names.map((name) => format(namespace, name)))
  switch (command) {
    case 'create-named':
      return forEach(secrets, create)
    case 'create':
      return forEach([secretNameFor(wantedKey)], create)
    case 'convert':
      return forEach(secrets, convertCommand)
    case 'replace':
      return isReplaceable
        ? forEach(secrets, (...target) => `${create(...target)} ${applyOutput}`)
        : []
  }
}

/** For ECR a token, valid for 12 hours; otherwise the user's own login. */
function loginFor(key: string | null): string {
  const ecr = key === null ? null : parseEcrHost(key)
  return ecr?.kind === 'private'
    ? `--docker-username=AWS --docker-password="$(aws ecr get-login-password --region ${ecr.region})"`
    : '--docker-username="$REGISTRY_USER" --docker-password="$REGISTRY_PASSWORD"'
}

const applyOutput = '--dry-run=client -o yaml | kubectl apply -f -'

/** The type of a Secret is immutable (ValidateSecretUpdate), so the content goes into a new one. */
function convertCommand(namespace: string, name: string): string {
  return `kubectl get secret ${name} -n ${namespace} -o jsonpath='{.data.\\.dockerconfigjson}' | base64 -d | kubectl create secret generic ${name}-pull -n ${namespace} --type=kubernetes.io/dockerconfigjson --from-file=.dockerconfigjson=/dev/stdin`
}

/** `mirror-example-5000-pull` for `mirror.example:5000`: the name of a Secret is a DNS subdomain. */
function secretNameFor(key: string | null): string {
  const words = (key ?? 'registry').replace(/^https?:\/\//, '').match(/[a-z0-9]+/g) ?? ['registry']
  return `${words.join('-')}-pull`
}
