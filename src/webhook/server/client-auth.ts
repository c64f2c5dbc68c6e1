/**
 * Client certificates, for API servers that have one to show (AdmissionConfiguration, WebhookAdmission.kubeConfigFile).
 * Without them any pod that reaches the port can ask; what it would learn is in docs/security.md.
 */
import { constants } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { type TlsOptions, TLSSocket } from 'node:tls'

export interface ClientAuthentication {
  /** PEM of the CA that signs callers' certificates. */
  readonly ca: string
  /** Common names or DNS names of callers; empty: any certificate of the CA. */
  readonly names: readonly string[]
}

/** TLS options that end a handshake without a certificate of the CA. Nothing is resumed, so each connection proves itself. */
export function requireClients({ ca }: ClientAuthentication): TlsOptions {
  return {
    requestCert: true,
    rejectUnauthorized: true,
    ca,
    secureOptions: constants.SSL_OP_NO_TICKET,
  }
}

/** Whether the certificate of the caller is for one of the names; with no names every certificate of the CA is. */
export function createClientCheck(
  clients: ClientAuthentication | null,
): (request: IncomingMessage) => boolean {
  const names = clients?.names ?? []
  return ({ socket }) => names.length === 0 || names.some((name) => isFor(socket, name))
}

function isFor(socket: unknown, name: string): boolean {
  if (!(socket instanceof TLSSocket)) return false
  const { subject, subjectaltname = '' } = socket.getPeerCertificate()
  return subject?.CN === name || subjectaltname.split(', ').includes(`DNS:${name}`)
}
