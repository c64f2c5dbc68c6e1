/** What a fix has to know about an existing Secret: its form, never its content. Pure. */
import { redactKey } from '../../credentials/docker-config-keys.ts'
import { readDockerConfig } from '../../credentials/docker-config.ts'
import type { PullSecret } from '../../credentials/keyring.ts'
import type { Reference } from '../../decision/reference/reference.ts'
import { isObject, member } from '../../json/json.ts'
import type { KubeObject } from '../../kube/object.ts'
import { expiresAnnotation } from '../../pull-secrets/labels.ts'
import { hasCredentialFor } from './copy-source.ts'

export interface SecretShape {
  readonly type: string
  /** The keys of its docker config, in order; null if it has none that the kubelet reads. */
  readonly keys: readonly string[] | null
  /** The member with a docker config for the image, and the type that the kubelet would read it with. */
  readonly config: { readonly member: string; readonly type: string } | null
  /** True if it has the members `username` and `password` (type kubernetes.io/basic-auth). */
  readonly hasLogin: boolean
  /** True if it has members besides a docker config or a login, which a Secret of another type would lose. */
  readonly hasOtherContent: boolean
  /** True if OpenShift generates it and would undo a change. */
  readonly isGenerated: boolean
  /** True if `kubectl apply` can change it and leaves nothing wrong behind. */
  readonly isEditable: boolean
  /** When it was last written, in milliseconds since 1970; null if unknown. */
  readonly changedAt: number | null
}

const dockerConfigType = 'kubernetes.io/dockerconfigjson'
const legacyType = 'kubernetes.io/dockercfg'

/** Members of a Secret that are tried as a docker config. */
const maxMembers = 8

export function readSecretShape(
  secret: KubeObject & PullSecret,
  reference: Reference | null,
): SecretShape {
  const { type = '', data = {}, metadata } = secret
  const isExpiring = metadata.annotations?.[expiresAnnotation] !== undefined
  const isImmutable = member(secret, 'immutable') === true
  const keys = keysOf(type, data)
  const config = reference === null ? null : configOf(data, reference)
  const hasLogin = isSet(data['username']) && isSet(data['password'])
  return {
    type,
    keys,
    config,
    hasLogin,
    hasOtherContent: keys === null && hasOtherContent(data, config?.member, hasLogin),
    isGenerated: type === legacyType && /-dockercfg-[a-z0-9]{5}$/.test(metadata.name),
    isEditable: type === dockerConfigType && !isImmutable && !isExpiring,
    changedAt: changedAt(secret),
  }
}

/** A container or another tool may use these members. */
function hasOtherContent(
  data: Readonly<Record<string, string>>,
  configMember: string | undefined,
  hasLogin: boolean,
): boolean {
  const login = hasLogin ? ['username', 'password'] : []
  const used = configMember === undefined ? login : [configMember]
  return Object.entries(data).some(([name, value]) => isSet(value) && !used.includes(name))
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== ''
}

function keysOf(type: string, data: Readonly<Record<string, string>>): string[] | null {
  const isLegacy = type === legacyType
  const text = Buffer.from(data[isLegacy ? '.dockercfg' : '.dockerconfigjson'] ?? '', 'base64')
  if (!(isLegacy || type === dockerConfigType) || text.length === 0) return null
  const { entries } = readDockerConfig(text.toString('utf8'), isLegacy ? 'legacy' : 'config')
  return entries.map(({ key }) => redactKey(key))
}

function configOf(
  data: Readonly<Record<string, string>>,
  reference: Reference,
): SecretShape['config'] {
  for (const [name, content] of Object.entries(data).slice(0, maxMembers)) {
    const forms = [
      { type: dockerConfigType, data: { '.dockerconfigjson': content } },
      { type: legacyType, data: { '.dockercfg': content } },
    ]
    const form = forms.find((each) => hasCredentialFor(each, reference))
    if (form !== undefined) return { member: name, type: form.type }
  }
  return null
}

/** The API server notes each writer's last write (metadata.managedFields). */
function changedAt(secret: KubeObject): number | null {
  const managed = member(secret.metadata, 'managedFields')
  const times = (Array.isArray(managed) ? managed : [])
    .map((each) => (isObject(each) ? each['time'] : undefined))
    .concat(secret.metadata.creationTimestamp)
    .flatMap((time) => (typeof time === 'string' ? Date.parse(time) : []))
    .filter((time) => !Number.isNaN(time))
  return times.length === 0 ? null : Math.max(...times)
}
