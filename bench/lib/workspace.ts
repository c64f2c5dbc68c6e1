/** A directory for one run, with a certificate that every server of the run serves, and a cache for what is built. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { makeCertificates } from '../../src/webhook/certificate/self-signed.ts'

export const repository = fileURLToPath(new URL('../../', import.meta.url))

export interface Workspace {
  readonly directory: string
  readonly ca: string
  readonly cert: string
  readonly key: string
  remove(): void
}

/** ECDSA P-256 for all, as Berth makes it: a server with an RSA key would pay more for each handshake. */
export async function makeWorkspace(): Promise<Workspace> {
  const directory = mkdtempSync(join(tmpdir(), 'berth-bench-'))
  const { ca, leaf } = await makeCertificates({
    names: ['localhost', '127.0.0.1'],
    days: 1,
    now: new Date(),
  })
  const write = (name: string, text: string) => {
    const file = join(directory, name)
    writeFileSync(file, text, { mode: 0o600 })
    return file
  }
  return {
    directory,
    ca: write('ca.crt', ca.cert),
    cert: write('tls.crt', leaf.cert),
    key: write('tls.key', leaf.key),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  }
}

/** Where built programs are kept from run to run. */
export function cacheDirectory(): string {
  const directory = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'berth-bench')
  mkdirSync(directory, { recursive: true })
  return directory
}
