import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Cluster } from './cluster.ts'
import { runOk } from './command.ts'
import { setNodeHost } from './node-hosts.ts'
import { freePort } from './ports.ts'
import type { ProcessRecord } from './processes.ts'
import { exitReason, logFile, startProcess, stopProcess } from './processes.ts'
import { waitFor } from './wait.ts'

/** A user name and its password. */
export type Account = { username: string; password: string }

/** What a registry needs of the cluster it belongs to; `currentCluster()` has it. */
export type RegistryHome = Pick<Cluster, 'runDir' | 'address' | 'certsDir'>

/**
 * How a registry is set up. With `htpasswd` nobody gets in without it. With `proxy` it is a pull-through cache of the registry
 * at that URL, which must let it in without a password: this program cannot send one other than for a token.
 */
export type RegistryOptions = {
  name: string
  port?: number
  htpasswd?: Account
  proxy?: { url: string }
  /** Nothing can be pushed to it. */
  readOnly?: true
  /** Tokens of this server let in, and nothing else does. */
  token?: TokenSettings
}

/** What a registry has to know of a token server; `certificate` is a PEM file. */
export type TokenSettings = { realm: string; service: string; issuer: string; certificate: string }

/** A real registry on this machine. Its content outlives `stop` and is there again after `start`. */
export type Registry = {
  name: string
  /** `http://host:port` */
  url: string
  /** `address:port`, as it stands in an image reference. */
  host: string
  port: number
  stop(): Promise<void>
  start(): Promise<void>
  /** Requests so far, in the combined log format, oldest first. Waits for those the registry has answered already. */
  accessLog(): Promise<string[]>
  /** Lets nobody in but this account from now on. */
  setAccount(account: Account): Promise<void>
}

/** Starts a registry and returns when it answers. The node knows it under its own address; other names: `setNodeHost`. */
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
      command: 'docker-registry',
      args: ['serve', config],
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
    // The line of a request is written after its answer; a probe that shows up in the log has every earlier one before it.
    if (record !== undefined) await probe(url, logFile(runDir, process))
    return requestsIn(logFile(runDir, process)).filter((line) => !line.includes(probeMark))
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
  { htpasswd, proxy, readOnly, token }: RegistryOptions,
): Promise<Record<string, unknown>> {
  const passwords = passwordsIn(dir)
  if (htpasswd !== undefined) writeFileSync(passwords, await htpasswdLine(htpasswd))
  return {
    version: '0.1',
    // The access log goes to stdout whatever the level is.
    log: { level: 'warn' },
    storage: {
      filesystem: { rootdirectory: join(dir, 'data') },
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
    ...(proxy && { proxy: { remoteurl: proxy.url } }),
  }
}

/**
 * The registry takes bcrypt and nothing else. Neither Node nor openssl has it, but the C library's crypt does on Debian
 * and Ubuntu, and Perl, which no Debian is without, reaches that. Four rounds: this protects nothing.
 * bcrypt reads 72 bytes of a password; crypt(3) refuses one of more than 512, as tokens are.
 */
async function htpasswdLine({ username, password }: Account): Promise<string> {
  const script = 'chomp(my $p = <STDIN>); print crypt($p, q($2b$04$berthberthberthberthbe))'
  const hash = await runOk('perl', ['-e', script], { input: `${password.slice(0, 72)}\n` })
  if (!hash.startsWith('$2b$')) throw new Error(`no bcrypt in this machine's crypt(3): ${hash}`)
  return `${username}:${hash}\n`
}

async function answers(url: string): Promise<boolean> {
  const { status } = await fetch(`${url}/v2/`)
  if (status === 200 || status === 401) return true
  throw new Error(`${url}/v2/ answered ${status}`)
}

const probeMark = 'berth-e2e-log-probe'

async function probe(url: string, file: string): Promise<void> {
  const mark = `${probeMark}-${Date.now()}-${Math.random()}`
  await fetch(`${url}/v2/`, { headers: { 'user-agent': mark } })
  await waitFor('the access log', () => readFileSync(file, 'utf8').includes(mark), {
    intervalMs: 10,
  })
}

function requestsIn(file: string): string[] {
  if (!existsSync(file)) return []
  const request = /"(?:GET|HEAD|PUT|POST|PATCH|DELETE) \/v2\//
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => request.test(line))
}
