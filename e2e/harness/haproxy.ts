/** HAProxy as a reverse proxy in front of a registry. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Cluster } from './cluster.ts'
import { runOk } from './command.ts'
import { unpackDebianPackage } from './debian-packages.ts'
import { freePort } from './ports.ts'
import { exitReason, logFile, startProcess, stopProcess } from './processes.ts'
import { writeServerCertificate } from './server-certificate.ts'
import { waitFor } from './wait.ts'

export type HaproxyOptions = {
  name: string
  /** The registry behind it: `host:port`. */
  backend: string
  /** Rules of the frontend, such as `http-request set-header X-Forwarded-Proto https`. */
  rules?: readonly string[]
  /** Requires a client certificate of the CA in this file. */
  clientCa?: string
}

export type Haproxy = {
  /** `https://host:port` */
  url: string
  /** The path of the certificate in PEM. */
  certificate: string
  /** Returns the method, path and status of each request so far, in order: `PUT /v2/x 201`. */
  accessLog(): Promise<string[]>
  stop(): Promise<void>
}

/** HAProxy and the libraries that the base system lacks. */
const packages = ['haproxy', 'liblua5.3-0', 'libopentracing-c-wrapper0', 'libopentracing1']

/** Starts HAProxy, which terminates TLS with a self-signed certificate and by default adds no X-Forwarded headers. */
export async function startHaproxy(
  { runDir, address }: Pick<Cluster, 'runDir' | 'address'>,
  { name, backend, rules = [], clientCa }: HaproxyOptions,
): Promise<Haproxy> {
  const directory = join(runDir, `haproxy-${name}`)
  mkdirSync(directory, { recursive: true })
  const certificate = await writeServerCertificate(directory, address)
  const pair = join(directory, 'pair.pem')
  const parts = [certificate, join(directory, 'key.pem')].map((part) => readFileSync(part, 'utf8'))
  writeFileSync(pair, parts.join('\n'), { mode: 0o600 })
  const port = await freePort(address)
  const callers = clientCa === undefined ? '' : ` ca-file ${clientCa} verify required`
  const file = join(directory, 'haproxy.cfg')
  writeFileSync(
    file,
    `global
  log stdout format raw local0
defaults
  mode http
  log global
  log-format "%HM %HP %ST"
  timeout connect 10s
  timeout client 60s
  timeout server 60s
frontend registry
  bind ${address}:${port} ssl crt ${pair}${callers}
${rules.map((rule) => `  ${rule}\n`).join('')}  default_backend registry
backend registry
  server one ${backend}
`,
  )
  const program = await unpackHaproxy()
  const record = await startProcess(runDir, {
    name: `haproxy-${name}`,
    ...program,
    args: ['-db', '-f', file],
  })
  await waitFor('HAProxy', () => accepts(address, port), { stopReason: exitReason(runDir, record) })
  return {
    url: `https://${address}:${port}`,
    certificate,
    accessLog: async () => {
      const lines = (await readFile(logFile(runDir, record.name), 'utf8')).split('\n')
      return lines.filter((line) => /^[A-Z]+ \/v2\//.test(line))
    },
    stop: () => stopProcess(runDir, record),
  }
}

async function accepts(host: string, port: number): Promise<true> {
  const socket = connect({ host, port })
  await once(socket, 'connect')
  socket.destroy()
  return true
}

/** Returns the version of the Debian package. */
export async function haproxyVersion(): Promise<string> {
  const { command, env } = await unpackHaproxy()
  return /version (\S+)/.exec(await runOk(command, ['-v'], { env }))?.[1] ?? ''
}

/** Unpacks the Debian packages, once, and returns how to start the program. */
async function unpackHaproxy(): Promise<{ command: string; env: Record<string, string> }> {
  const [haproxy = '', ...libraries] = await Promise.all(packages.map(unpackDebianPackage))
  const architecture = process.arch === 'x64' ? 'x86_64' : 'aarch64'
  const paths = libraries.map((library) => join(library, `usr/lib/${architecture}-linux-gnu`))
  return {
    command: join(haproxy, 'usr/sbin/haproxy'),
    env: { LD_LIBRARY_PATH: paths.join(':') },
  }
}
