/**
 * Commands that can be pasted for a cause; none where what is right depends on what nobody has looked at. They make
 * things and never overwrite or delete what may hold more than is seen here. Pure.
 */
import { parseEcrHost } from '../../aws/ecr-host.ts'

export interface FixFacts {
  readonly namespaces: readonly string[]
  readonly secrets: readonly string[]
  readonly wantedKey: string | null
  /** Whether each secret holds one key alone, so that writing it anew loses nothing. */
  readonly isReplaceable: boolean
}

/** What a person fills in themselves stands in variables of the shell, so no password is in the text. */
export function fixCommands(
  rule: string,
  { namespaces, secrets, wantedKey, isReplaceable }: FixFacts,
): readonly string[] {
  const server = wantedKey ?? '"$REGISTRY"'
  const create = (namespace: string, name: string) =>
    `kubectl create secret docker-registry ${name} -n ${namespace} --docker-server=${server} ${loginFor(wantedKey)}`
  const forEach = (names: readonly string[], make: typeof create) =>
    namespaces.flatMap((namespace) => names.map((name) => make(namespace, name)))
  switch (rule) {
    case 'D05':
      return forEach(secrets, create)
    case 'D06':
      return forEach(secrets, converted)
    case 'D07':
    case 'D09':
    case 'D22':
    case 'D26':
      return forEach([nameFor(wantedKey)], create)
    case 'D21':
    case 'D25':
      return isReplaceable ? forEach(secrets, (...at) => `${create(...at)} ${applied}`) : []
    default:
      return []
  }
}

/** For ECR a token, good for 12 hours; else what the person has. */
function loginFor(key: string | null): string {
  const ecr = key === null ? null : parseEcrHost(key)
  return ecr?.kind === 'private'
    ? `--docker-username=AWS --docker-password="$(aws ecr get-login-password --region ${ecr.region})"`
    : '--docker-username="$REGISTRY_USER" --docker-password="$REGISTRY_PASSWORD"'
}

const applied = '--dry-run=client -o yaml | kubectl apply -f -'

/** The type of a Secret cannot be changed (ValidateSecretUpdate), so its content goes into another. */
function converted(namespace: string, name: string): string {
  return `kubectl get secret ${name} -n ${namespace} -o jsonpath='{.data.\\.dockerconfigjson}' | base64 -d | kubectl create secret generic ${name}-pull -n ${namespace} --type=kubernetes.io/dockerconfigjson --from-file=.dockerconfigjson=/dev/stdin`
}

/** `mirror-example-5000-pull` for `mirror.example:5000`; a Secret's name is a DNS subdomain. */
function nameFor(key: string | null): string {
  const words = (key ?? 'registry').replace(/^https?:\/\//, '').match(/[a-z0-9]+/g) ?? ['registry']
  return `${words.join('-')}-pull`
}
