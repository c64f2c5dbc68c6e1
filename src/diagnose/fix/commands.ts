/**
 * Writes kubectl commands that make a failing pod able to pull. They correct a Secret that the pod names, or create a Secret
 * and link it. They keep the other entries of a Secret. Pure.
 */
import { parseEcrHost } from '../../aws/ecr-host.ts'
import type { RuleData } from '../rules/rule.ts'
import { linkCommands, type PodPlace } from './pod-place.ts'
import type { SecretShape } from './secret-shape.ts'

export interface FixFacts {
  readonly namespace: string
  /** The names of the faulty secrets. */
  readonly secrets: readonly string[]
  readonly wantedKey: string | null
  /** A key in the pod's secrets whose credential is probably valid for the image too. */
  readonly similarKey: { readonly secret: string; readonly key: string } | null
  /** Null if it could not be read. */
  readonly place: PodPlace | null
  /** The secrets that the pod names and that could be read. */
  readonly shapes: ReadonlyMap<string, SecretShape>
}

/**
 * Returns the commands for a rule; none when the right one depends on facts that were not checked. Values for a person to
 * fill in are shell variables, so the text contains no password.
 */
export function fixCommands(
  { command }: Pick<RuleData, 'command'>,
  facts: FixFacts,
): readonly string[] {
  const { secrets, place, shapes } = facts
  if (command === undefined || !canBePasted(facts)) return []
  if (command === 'create-named') return secrets.map((name) => createCommand(facts, name))
  if (command === 'recreate')
    return place === null ? [] : secrets.flatMap((name) => linkCommands(place, name))
  const changes = secrets.flatMap((name) => {
    const shape = shapes.get(name)
    if (shape === undefined || shape.isGenerated || shape.hasOtherContent) return []
    return [
      facts.wantedKey === publicEcr
        ? removeCommand(facts, name, shape)
        : changeCommand(facts, name, shape),
    ]
  })
  const needsNew = changes.length === 0 && (command !== 'replace' || secrets.length > 0)
  return needsNew ? createAndLink(facts) : changes
}

/**
 * The API server does not check the names of pull secrets and owners (ValidateImagePullSecrets and ValidateOwnerReferences only
 * require them), so a pod could put shell commands into them.
 */
function canBePasted({ namespace, secrets, place }: FixFacts): boolean {
  const names = [namespace, ...secrets, place?.pod, place?.account, place?.workload?.name]
  return names.every((name) => name === undefined || objectName.test(name))
}

/** A DNS subdomain (RFC 1123), as the names of objects are. */
const objectName = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/

/** A Secret that has something else too stays as it is: a new one takes its docker config, if there is one. */
function createAndLink(facts: FixFacts): string[] {
  const { namespace, secrets, wantedKey, place, shapes } = facts
  const source = secrets.find((name) => shapes.get(name)?.hasOtherContent === true)
  const config = source === undefined ? null : (shapes.get(source)?.config ?? null)
  const name = source === undefined ? secretNameFor(wantedKey) : `${source}-pull`
  const create =
    source === undefined || config === null
      ? createCommand(facts, name)
      : convertCommand(namespace, { from: source, to: name }, config)
  return [create, ...(place === null ? [] : linkCommands(place, name))]
}

/** Changes a Secret that the pod names. The kubelet reads it at each retry, so the pod need not be recreated. */
function changeCommand(facts: FixFacts, name: string, shape: SecretShape): string {
  const { namespace, similarKey } = facts
  const write = shape.isEditable ? 'kubectl apply -f -' : 'kubectl replace --force -f -'
  if (shape.keys === null && shape.config !== null)
    return `${convertCommand(namespace, { from: name, to: name }, shape.config)} ${dryRun} | kubectl replace --force -f -`
  const reusedKey = similarKey?.secret === name ? similarKey.key : null
  const { keys } = shape
  const hasOthers = keys?.some((key) => registryOf(key) !== registryOf(facts.wantedKey)) === true
  // `replace` without the present object would lose its labels, such as the one that allows copies.
  const isKept = keys === null || keys.length === 0 || shape.isEditable
  if (isKept && !hasOthers && reusedKey === null)
    return `${createCommand(facts, name, shape.hasLogin)} ${dryRun} | ${write}`
  return addEntryCommand(facts, name, { shape, reusedKey })
}

/** A key without what makes no difference to the kubelet. */
function registryOf(key: string | null): string | undefined {
  return key?.replace(/^https?:\/\//, '').replace(/\/(?:v[12]\/?)?$/, '')
}

const dryRun = '--dry-run=client -o yaml'

function createCommand({ namespace, wantedKey }: FixFacts, name: string, hasLogin = false): string {
  const server = wantedKey === null ? '"$REGISTRY"' : quote(wantedKey)
  const stored = (member: string) =>
    `"$(kubectl get secret ${name} -n ${namespace} -o jsonpath='{.data.${member}}' | base64 -d)"`
  const login = hasLogin
    ? { username: stored('username'), password: stored('password') }
    : loginFor(wantedKey)
  return `kubectl create secret docker-registry ${name} -n ${namespace} --docker-server=${server} --docker-username=${login.username} --docker-password=${login.password}`
}

/** For ECR a token, valid for 12 hours; otherwise the user's own login. */
function loginFor(key: string | null): { readonly username: string; readonly password: string } {
  const ecr = key === null ? null : parseEcrHost(key)
  return ecr?.kind === 'private'
    ? { username: 'AWS', password: `"$(aws ecr get-login-password --region ${ecr.region})"` }
    : { username: '"$REGISTRY_USER"', password: '"$REGISTRY_PASSWORD"' }
}

/** The type of a Secret is immutable (ValidateSecretUpdate), so it is deleted and created again. */
function convertCommand(
  namespace: string,
  { from, to }: { readonly from: string; readonly to: string },
  { member, type }: NonNullable<SecretShape['config']>,
): string {
  const target = type === 'kubernetes.io/dockercfg' ? '.dockercfg' : '.dockerconfigjson'
  return `kubectl get secret ${from} -n ${namespace} -o jsonpath='{.data.${member.replaceAll('.', String.raw`\.`)}}' | base64 -d | kubectl create secret generic ${to} -n ${namespace} --type=${type} --from-file=${target}=/dev/stdin`
}

/** Serves its images without a credential, and refuses an expired one (Amazon ECR Public, "Registry authentication"). */
const publicEcr = 'public.ecr.aws'

/** Removes the entries of a registry that needs none. */
function removeCommand({ namespace }: FixFacts, name: string, shape: SecretShape): string {
  const isLegacy = shape.type === 'kubernetes.io/dockercfg'
  const [member, auths] = isLegacy ? ['.dockercfg', '.'] : ['.dockerconfigjson', '.auths']
  const isEcr = String.raw`test("^(https?://)?public[.]ecr[.]aws(/|$)")`
  const entries = `${auths} |= with_entries(select(.key | ${isEcr} | not))`
  const program = `.data["${member}"] |= (@base64d | fromjson | ${entries} | tojson | @base64)`
  const write = shape.isEditable ? 'kubectl replace -f -' : 'kubectl replace --force -f -'
  return `kubectl get secret ${name} -n ${namespace} -o json | jq '${program}' | ${write}`
}

/** Adds an entry for the image, or replaces the one with its key, and keeps the others. */
function addEntryCommand(
  { namespace, wantedKey }: FixFacts,
  name: string,
  { shape, reusedKey }: { readonly shape: SecretShape; readonly reusedKey: string | null },
): string {
  const isLegacy = shape.type === 'kubernetes.io/dockercfg'
  const auths = isLegacy ? '.' : '.auths'
  const entry = (key: string | null) => `${auths}[${JSON.stringify(key ?? '')}]`
  const { username, password } = loginFor(wantedKey)
  const [login, value] =
    reusedKey === null
      ? [`--arg u ${username} --arg p ${password} `, String.raw`{auth: ("\($u):\($p)" | @base64)}`]
      : ['', entry(reusedKey)]
  const member = isLegacy ? '.dockercfg' : '.dockerconfigjson'
  const edit = `.data["${member}"] |= (@base64d | fromjson | ${entry(wantedKey)} = ${value} | tojson | @base64)`
  const stale = 'del(.metadata.annotations["berth.dev/expires-at"])'
  const program = shape.isEditable ? edit : `${edit} | ${stale}`
  const write = shape.isEditable ? 'kubectl replace -f -' : 'kubectl replace --force -f -'
  return `kubectl get secret ${name} -n ${namespace} -o json | jq ${login}'${program}' | ${write}`
}

/** A shell expands the brackets of an IPv6 address. */
function quote(key: string): string {
  return key.includes('[') ? `'${key}'` : key
}

/** `mirror-example-5000-pull` for `mirror.example:5000`: the name of a Secret is a DNS subdomain. */
function secretNameFor(key: string | null): string {
  const words = (key ?? 'registry').replace(/^https?:\/\//, '').match(/[a-z0-9]+/g) ?? ['registry']
  return `${words.join('-')}-pull`
}
