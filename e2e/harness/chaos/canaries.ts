/** A password that Berth knows, and every place where nobody may find it. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { currentCluster } from '../cluster.ts'
import { kubectlOk } from '../kubectl.ts'
import { namespace } from '../overlay.ts'
import type { Account } from '../registry.ts'

export type Canaries = {
  account: Account
  /** Whether a text contains the password in one of its forms, or a private key. */
  isIn: (text: string) => boolean
}

export function createCanaries(): Canaries {
  const account = { username: 'chaos', password: `canary:${randomBytes(8).toString('hex')}+/` }
  const { username, password } = account
  const base64 = (text: string) => Buffer.from(text).toString('base64').replace(/=+$/, '')
  const forms = [
    password,
    encodeURIComponent(password),
    base64(password),
    base64(`${username}:${password}`),
    'PRIVATE KEY-----',
    base64('-----BEGIN PRIVATE KEY-----').slice(0, -2),
  ]
  return { account, isIn: (text) => forms.some((form) => text.includes(form)) }
}

/** Returns where the texts of the cluster contain a secret; `logs` are those of Berth's containers, by name. */
export async function findSecrets(
  { isIn }: Canaries,
  texts: Readonly<Record<string, string>>,
): Promise<string[]> {
  const get = (...args: string[]) => kubectlOk(['get', ...args, '-o', 'json'])
  const found: Record<string, string> = {
    ...texts,
    events: await get('events', '-A'),
    'objects of Berth': await get('pods,configmaps,leases,deployments', '-n', namespace),
    'webhook configuration': await get('mutatingwebhookconfigurations'),
    'audit log': readFileSync(currentCluster().auditLog ?? '/dev/null', 'latin1'),
  }
  return Object.keys(found).filter((name) => isIn(found[name] ?? ''))
}
