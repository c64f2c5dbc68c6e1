/** Reads the client certificate of a registry: from a mounted Secret of the type kubernetes.io/tls, or from two files. */
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { readRegularFile } from '../files/read-limited.ts'
import type { ClientCertificate, LoadClientCertificate } from '../registry/http/connector.ts'
import { failed, RequestFailedError } from '../registry/http/network-error.ts'
import type { ClientCertificateSettings } from '../registry/http/registry-settings.ts'
import { describeFileError } from '../files/describe-file-error.ts'

export interface ClientCertificateOptions {
  /** Has a subdirectory for each mounted Secret, with the Secret's name. */
  readonly secretsDirectory: string
  /** Receives each problem of the files once; the message has no secret in it. */
  readonly onProblem?: (message: string) => void
}

/** What a Secret can hold. */
const maxBytes = 1024 * 1024

/**
 * Returns a function that reads the files for each new connection, so that a renewed certificate is used at once. If the files
 * become invalid, their last valid content stays in use; if they never were valid, it throws RequestFailedError.
 */
export function createClientCertificate(
  settings: ClientCertificateSettings | undefined,
  { secretsDirectory, onProblem }: ClientCertificateOptions,
): LoadClientCertificate | null {
  if (settings === undefined) return null
  const { cert, key, fix } = filesOf(settings, secretsDirectory)
  let last: ClientCertificate | null = null
  let lastProblem: string | null = null

  return () => {
    const read = readPair(cert, key, last)
    if (typeof read !== 'string') {
      last = read
      lastProblem = null
      return read
    }
    const problem = `the client certificate ${cert} cannot be used: ${read}`
    if (last === null) throw new RequestFailedError(failed('denied', `${problem}; ${fix}`))
    if (problem !== lastProblem) onProblem?.(`${problem}; the last valid one stays in use`)
    lastProblem = problem
    return last
  }
}

function filesOf(settings: ClientCertificateSettings, secretsDirectory: string) {
  if (settings.kind === 'files') {
    const { cert, key } = settings
    return { cert, key, fix: 'set `clientCertificate` to two PEM files that Berth can read' }
  }
  const directory = join(secretsDirectory, settings.name)
  return {
    cert: join(directory, 'tls.crt'),
    key: join(directory, 'tls.key'),
    fix: `create the Secret ${settings.name} of the type kubernetes.io/tls in Berth's namespace and mount it at ${directory}`,
  }
}

/** Returns the pair, the last one if it is the same, or what is wrong with it. */
function readPair(
  certFile: string,
  keyFile: string,
  last: ClientCertificate | null,
): ClientCertificate | string {
  let file = certFile
  try {
    const cert = readRegularFile(certFile, maxBytes).toString('utf8')
    file = keyFile
    const key = readRegularFile(keyFile, maxBytes).toString('utf8')
    if (last?.cert === cert && last.key === key) return last
    return isPair(cert, key) ? { cert, key } : 'it and its key are not a matching pair of PEM files'
  } catch (error) {
    return `${file} cannot be read: ${describeFileError(error)}`
  }
}

/** The message of OpenSSL is not used: it may quote the key. */
function isPair(cert: string, key: string): boolean {
  try {
    createSecureContext({ cert, key })
    return true
  } catch {
    return false
  }
}
