/** Real registries (the CNCF distribution) as processes on this machine. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Cluster } from './cluster.ts'
import { runOk } from './command.ts'
import { setNodeHost } from './node-hosts.ts'
import { freePort } from './ports.ts'
import type { ProcessRecord } from './processes.ts'
import { exitReason, logFile, startProcess, stopProcess } from './processes.ts'
import { waitFor } from './wait.ts'

/** A user name and a password. */
export type Account = { username: string; password: string }

/** What a registry needs to know about the cluster. */
export type RegistryHome = Pick<Cluster, 'runDir' | 'address' | 'nodes'>

export type RegistryOptions = {
  name: string
  port?: number
  /** The only account with access. Default: anonymous access. */
  htpasswd?: Account
  /** Makes it a pull-through cache of the registry at this URL, which must allow anonymous access. */
  proxy?: { url: string }
  /** Rejects pushes. */
  readOnly?: true
  /** Allows manifests with foreign layers whose URLs match this pattern. Default: none. */
  foreignUrls?: string
  /** Accepts only tokens of this server. */
  token?: TokenSettings
  /** The program. Default: version 2.8, from the Debian package docker-registry. */
  program?: string
  /** How many tags a page of the list of tags has at most. Version 3 only. */
  maxTags?: number
  /** Keeps its content in a bucket of an S3 API, and redirects downloads of blobs there. */
  s3?: { url: string; bucket: string }
}

/** The settings for a token server; `certificate` is the path of a PEM file. */
export type TokenSettings = { realm: string; service: string; issuer: string; certificate: string }

/** A running registry. It keeps its content across `stop` and `start`. */
export type Registry = {
  name: string
  /** `http://host:port` */
  url: string
  /** `address:port`, as in image references. */
  host: string
  port: number
  stop(): Promise<void>
  start(): Promise<void>
  /** Returns the requests so far in the combined log format, oldest first, including every request answered before. */
  accessLog(): Promise<string[]>
  /** Makes this account the only one with access. */
  setAccount(account: Account): Promise<void>
}

/** Starts a registry and returns when it answers. The node reaches it by its address; for other hosts use `setNodeHost`. */
export async function startRegistry(
  home: RegistryHome,
  options: RegistryOptions,
): Promise<Registry> {
  const { runDir, address } = home
  const port = options.port ?? (await freePort(address))
  const host = `${address}:${port}`
  const url = `http://${host}`
  const process = `registry-${options.name}`
  const dir = join(runDir, 'registries', options.name)
  mkdirSync(dir, { recursive: true })
  const config = join(dir, 'config.json')
  // The program reads YAML, and JSON is YAML.
  writeFileSync(config, JSON.stringify(await configuration(dir, host, options), null, 2))
  let record: ProcessRecord | undefined

  async function start(): Promise<void> {
    if (record !== undefined) return
    const started = await startProcess(runDir, {
      name: process,
      command: options.program ?? 'docker-registry',
      args: ['serve', config],
      // Version 3 sends traces to a collector by default.
      env: { OTEL_TRACES_EXPORTER: 'none' },
    })
    record = started
    await waitFor(`registry ${options.name}`, () => answers(url), {
      intervalMs: 30,
      stopReason: exitReason(runDir, started),
    })
  }
  async function stop(): Promise<void> {
    if (record !== undefined) await stopProcess(runDir, record)
    record = undefined
  }
  async function accessLog(): Promise<string[]> {
    // The registry logs a request after the response. Once a marker request is in the log, all earlier ones are too.
    if (record !== undefined) await logMarker(url, logFile(runDir, process))
    return requestsIn(logFile(runDir, process)).filter((line) => !line.includes(markerPrefix))
  }
  async function setAccount(account: Account): Promise<void> {
    writeFileSync(passwordsIn(dir), await htpasswdLine(account))
  }
  await start()
  setNodeHost(home, host, [url])
  return { name: options.name, url, host, port, stop, start, accessLog, setAccount }
}

function passwordsIn(dir: string): string {
  return join(dir, 'htpasswd')
}

async function configuration(
  dir: string,
  addr: string,
  { htpasswd, proxy, readOnly, token, foreignUrls, maxTags, s3 }: RegistryOptions,
): Promise<Record<string, unknown>> {
  const passwords = passwordsIn(dir)
  if (htpasswd !== undefined) writeFileSync(passwords, await htpasswdLine(htpasswd))
  return {
    version: '0.1',
    // The access log does not depend on the level.
    log: { level: 'warn' },
    storage: {
      ...(s3 === undefined ? { filesystem: { rootdirectory: join(dir, 'data') } } : s3Storage(s3)),
      delete: { enabled: true },
      ...(readOnly && { maintenance: { readonly: { enabled: true } } }),
    },
    http: { addr },
    ...(htpasswd && { auth: { htpasswd: { realm: 'berth-e2e', path: passwords } } }),
    ...(token && {
      auth: {
        token: {
          realm: token.realm,
          service: token.service,
          issuer: token.issuer,
          rootcertbundle: token.certificate,
        },
      },
    }),
    ...(foreignUrls && { validation: { manifests: { urls: { allow: [foreignUrls] } } } }),
    ...(proxy && { proxy: { remoteurl: proxy.url } }),
    ...(maxTags !== undefined && { tags: { maxtags: maxTags } }),
  }
}

function s3Storage({ url, bucket }: { url: string; bucket: string }): Record<string, unknown> {
  const keys = { accesskey: 'test', secretkey: 'test' }
  const place = { region: 'us-east-1', regionendpoint: url, bucket, forcepathstyle: true }
  return { s3: { ...keys, ...place, secure: false } }
}

/**
 * The registry accepts bcrypt only. Node and openssl do not have it; crypt(3) of Debian and Ubuntu does, and Perl calls
 * that. bcrypt reads 72 bytes of a password, and crypt(3) rejects one of more than 512 bytes, such as a token.
 */
async function htpasswdLine({ username, password }: Account): Promise<string> {
  const script = 'chomp(my $p = <STDIN>); print crypt($p, q($2b$04$berthberthberthberthbe))'
  const hash = await runOk('perl', ['-e', script], { input: `${password.slice(0, 72)}\n` })
  if (!hash.startsWith('$2b$')) throw new Error(`crypt(3) of this machine has no bcrypt: ${hash}`)
  return `${username}:${hash}\n`
}

async function answers(url: string): Promise<boolean> {
  const { status } = await fetch(`${url}/v2/`)
  if (status === 200 || status === 401) return true
  throw new Error(`${url}/v2/ responded with ${status}`)
}

const markerPrefix = 'berth-e2e-marker'

async function logMarker(url: string, file: string): Promise<void> {
  const marker = `${markerPrefix}-${Date.now()}-${Math.random()}`
  await fetch(`${url}/v2/`, { headers: { 'user-agent': marker } })
  const isLogged = () => readFileSync(file, 'utf8').includes(marker)
  await waitFor('the access log', isLogged, { intervalMs: 10 })
}

function requestsIn(file: string): string[] {
  if (!existsSync(file)) return []
  const request = /"(?:GET|HEAD|PUT|POST|PATCH|DELETE) \/v2\//
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => request.test(line))
}
