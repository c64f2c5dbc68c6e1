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
  const required = type === legacyType ? '.dockercfg' : '.dockerconfigjson'
  const text = Buffer.from(data[required] ?? '', 'base64').toString('utf8')
  const isPullSecret = [dockerConfigType, legacyType].includes(type) && text !== ''
  const { entries } = readDockerConfig(text, type === legacyType ? 'legacy' : 'config')
  const names = Object.keys(data).slice(0, maxMembers)
  const isGenerated = type === legacyType && /-dockercfg-[a-z0-9]{5}$/.test(metadata.name)
  const isExpiring = metadata.annotations?.[expiresAnnotation] !== undefined
  return {
    type,
    keys: isPullSecret ? entries.map(({ key }) => redactKey(key)) : null,
    config: reference === null ? null : (configsOf(names, data, reference)[0] ?? null),
    hasLogin: (data['username'] ?? '') !== '' && (data['password'] ?? '') !== '',
    isGenerated,
    isEditable: type === dockerConfigType && member(secret, 'immutable') !== true && !isExpiring,
    changedAt: changedAt(secret),
  }
}

function configsOf(
  names: readonly string[],
  data: Readonly<Record<string, string>>,
  reference: Reference,
): NonNullable<SecretShape['config']>[] {
  return names.flatMap((name) => {
    const content = data[name] ?? ''
    const forms = [
      { type: dockerConfigType, data: { '.dockerconfigjson': content } },
      { type: legacyType, data: { '.dockercfg': content } },
    ]
    const form = forms.find((each) => hasCredentialFor(each, reference))
    return form === undefined ? [] : [{ member: name, type: form.type }]
  })
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
