/** The directory of a run, with one certificate for all servers, and the cache of built programs. */
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

/** ECDSA P-256 for all servers, as Berth uses it; handshakes with an RSA key cost more. */
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

/** The cache of built programs, which is kept between runs. */
export function cacheDirectory(): string {
  const directory = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'berth-bench')
  mkdirSync(directory, { recursive: true })
  return directory
}
