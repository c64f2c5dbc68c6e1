/**
 * Client certificates, for API servers that have one to show (AdmissionConfiguration, WebhookAdmission.kubeConfigFile).
 * Without them any pod that reaches the port can ask; what it would learn is in docs/security.md.
 */
import { constants } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
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

/** Answers 403 to a certificate of the CA that is not on the list. */
export function guardClients(app: FastifyInstance, { names }: ClientAuthentication): void {
  if (names.length === 0) return
  app.addHook('onRequest', (request, reply, done) => {
    if (names.some((name) => isFor(request.raw.socket, name))) return done()
    reply.code(403).type('text/plain; charset=utf-8').send('this client certificate may not call\n')
  })
}

function isFor(socket: unknown, name: string): boolean {
  if (!(socket instanceof TLSSocket)) return false
  const { subject, subjectaltname = '' } = socket.getPeerCertificate()
  return subject?.CN === name || subjectaltname.split(', ').includes(`DNS:${name}`)
}
