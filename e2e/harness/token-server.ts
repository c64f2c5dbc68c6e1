/** A token server for a real registry (distribution, docs/content/spec/auth/jwt.md). Grants every scope to one account. */
import { createPrivateKey, randomUUID, sign } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { makeCertificates } from '../../src/webhook/certificate/self-signed.ts'
import type { Account, TokenSettings } from './registry.ts'
import { listen } from './servers.ts'

export type TokenServer = {
  settings: TokenSettings
  /** The scopes of each issued token. */
  granted: readonly (readonly string[])[]
  close(): Promise<void>
}

const issuer = 'berth-e2e'
const service = 'registry'

/** Starts a token server and writes its certificate to a file for the registry. */
export async function startTokenServer(
  address: string,
  certificate: string,
  account: Account,
): Promise<TokenServer> {
  const { leaf } = await makeCertificates({ names: [address], days: 1, now: new Date() })
  writeFileSync(certificate, leaf.cert)
  const granted: string[][] = []
  const known = `Basic ${Buffer.from(`${account.username}:${account.password}`).toString('base64')}`
  const server = createServer((request, response) => {
    if (request.headers.authorization !== known) return void response.writeHead(401).end()
    const scopes = new URL(request.url ?? '', 'http://x').searchParams.getAll('scope')
    granted.push(scopes)
    const token = tokenFor(scopes, account.username, leaf)
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(JSON.stringify({ token, expires_in: 300 }))
  })
  const { port, close } = await listen(server, address)
  const realm = `http://${address}:${port}/token`
  return {
    settings: { realm, service, issuer, certificate },
    granted,
    close,
  }
}

function tokenFor(
  scopes: readonly string[],
  subject: string,
  { cert, key }: { readonly cert: string; readonly key: string },
): string {
  const now = Math.floor(Date.now() / 1000)
  const access = scopes.map((scope) => {
    const [type, name, actions = ''] = scope.split(':')
    return { type, name, actions: actions.split(',') }
  })
  const x5c = [cert.replaceAll(/-----[^-]+-----|\s/g, '')]
  const header = { typ: 'JWT', alg: 'ES256', x5c }
  const times = { nbf: now - 10, iat: now, exp: now + 300, jti: randomUUID() }
  const claims = { iss: issuer, sub: subject, aud: service, ...times, access }
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const text = `${encode(header)}.${encode(claims)}`
  const options = { key: createPrivateKey(key), dsaEncoding: 'ieee-p1363' } as const
  return `${text}.${sign('sha256', Buffer.from(text), options).toString('base64url')}`
}
