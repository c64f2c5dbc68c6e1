/** A password that Berth knows, and the places that must not show it. */
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

/** Returns a new password, and a function that finds it in a text. */
export function createCanaries(): Canaries {
  const account = { username: 'chaos', password: `canary:${randomBytes(8).toString('hex')}+/` }
  const { password } = account
  const forms = [
    password,
    encodeURIComponent(password),
    ...inBase64(password),
    'PRIVATE KEY-----',
    ...inBase64('PRIVATE KEY-----'),
  ]
  return { account, isIn: (text) => forms.some((form) => text.includes(form)) }
}

/** Returns what is in the base64 of every text that contains this one: it depends on how many bytes come before, modulo three. */
function inBase64(text: string): string[] {
  return [0, 1, 2].map((before) => {
    const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(text)])
    const [from, to] = [Math.ceil((before * 8) / 6), Math.floor((bytes.length * 8) / 6)]
    return bytes.toString('base64').slice(from, to)
  })
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
    'audit log': readFileSync(currentCluster().auditLog, 'latin1'),
  }
  return Object.keys(found).filter((name) => isIn(found[name] ?? ''))
}
