/**
 * Client certificates, for API servers that are configured to present one (AdmissionConfiguration,
 * WebhookAdmission.kubeConfigFile). Without them, any pod that reaches the port can send reviews; docs/security.md says what
 * it would learn.
 */
import { constants } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { type TlsOptions, TLSSocket } from 'node:tls'

export interface ClientAuthentication {
  /** PEM of the CA that signs the certificates of callers. */
  readonly ca: string
  /** Common names or DNS names of callers; empty: any certificate of the CA. */
  readonly names: readonly string[]
}

/** TLS options that fail the handshake without a certificate of the CA. Sessions are not resumed: each connection proves itself. */
export function requireClients({ ca }: ClientAuthentication): TlsOptions {
  return {
    requestCert: true,
    rejectUnauthorized: true,
    ca,
    secureOptions: constants.SSL_OP_NO_TICKET,
  }
}

/** Returns whether the caller's certificate is for one of the names. Without names, every certificate of the CA is accepted. */
export function createClientCheck(
  clients: ClientAuthentication | null,
): (request: IncomingMessage) => boolean {
  const names = clients?.names ?? []
  return ({ socket }) => names.length === 0 || names.some((name) => hasName(socket, name))
}

function hasName(socket: unknown, name: string): boolean {
  if (!(socket instanceof TLSSocket)) return false
  const { subject, subjectaltname = '' } = socket.getPeerCertificate()
  return subject?.CN === name || subjectaltname.split(', ').includes(`DNS:${name}`)
}
