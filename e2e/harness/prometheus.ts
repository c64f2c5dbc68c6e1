/** A Prometheus server that scrapes Berth and the API server, and promtool. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { buildOnce } from './cached-build.ts'
import { currentCluster } from './cluster.ts'
import { runOk } from './command.ts'
import { isInstalled, mayInstallPackages } from './debian-packages.ts'
import { cacheDirectory } from './paths.ts'
import { freePort } from './ports.ts'
import { exitReason, startProcess, stopProcess } from './processes.ts'
import { waitFor } from './wait.ts'

export type Sample = { metric: Record<string, string>; value: [number, string] }

export type Rule = { name: string; health: string; lastError?: string; state: string }

export type Prometheus = {
  query(expression: string): Promise<Sample[]>
  rules(): Promise<Rule[]>
  stop(): Promise<void>
}

/** Returns the directory of `prometheus` and `promtool` with a slash at the end; '' if both are in PATH. */
export async function installPrometheus(): Promise<string> {
  if (isInstalled('prometheus') && isInstalled('promtool')) return ''
  const directory = join(cacheDirectory(), `prometheus-${process.arch}`)
  if (!existsSync(directory) && !mayInstallPackages()) {
    throw new Error(
      'prometheus and promtool are not in PATH; install them, or set BERTH_E2E_INSTALL=1 to download the Debian package',
    )
  }
  // Unpacked rather than installed: the installed package starts a service.
  await buildOnce(directory, 'downloading prometheus', async (partial) => {
    mkdirSync(partial)
    await runOk('apt-get', ['update'])
    await runOk('apt-get', ['download', 'prometheus'], { cwd: partial })
    const [file = ''] = readdirSync(partial).filter((name) => name.endsWith('.deb'))
    await runOk('dpkg-deb', ['-x', join(partial, file), partial])
  })
  return join(directory, 'usr/bin/')
}

/** Runs promtool in a directory and returns its output; throws with its error output if it fails. */
export async function runPromtool(args: readonly string[], cwd: string): Promise<string> {
  return runOk(`${await installPrometheus()}promtool`, args, { cwd })
}

export type Target = { job: string; addresses: readonly string[]; labels?: Record<string, string> }

/** Starts a Prometheus that scrapes the targets and the API server every second. `rules` is the content of a rule file. */
export async function startPrometheus(
  targets: readonly Target[],
  rules: object,
): Promise<Prometheus> {
  const { runDir, kubeconfig } = currentCluster()
  const directory = join(runDir, 'prometheus')
  mkdirSync(directory, { recursive: true })
  const write = (name: string, content: object) => {
    const file = join(directory, name)
    writeFileSync(file, JSON.stringify(content))
    return file
  }
  const config = write('prometheus.json', {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: [write('rules.json', rules)],
    scrape_configs: [
      ...targets.map(({ job, addresses, labels = {} }) => ({
        job_name: job,
        static_configs: [{ targets: addresses, labels }],
      })),
      apiServer(kubeconfig, directory),
    ],
  })
  const address = `127.0.0.1:${await freePort()}`
  const record = await startProcess(runDir, {
    name: 'prometheus',
    command: `${await installPrometheus()}prometheus`,
    args: [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(directory, 'data')}`,
      `--web.listen-address=${address}`,
    ],
  })
  const get = async <T>(path: string): Promise<T> => {
    const response = (await (await fetch(`http://${address}/api/v1/${path}`)).json()) as {
      status: string
      error?: string
      data: T
    }
    if (response.status !== 'success') throw new Error(`${path}: ${response.error}`)
    return response.data
  }
  await waitFor('prometheus', async () => (await fetch(`http://${address}/-/ready`)).ok, {
    stopReason: exitReason(runDir, record),
  })
  return {
    query: async (expression) =>
      (await get<{ result: Sample[] }>(`query?query=${encodeURIComponent(expression)}`)).result,
    rules: async () =>
      (await get<{ groups: { rules: Rule[] }[] }>('rules')).groups.flatMap(({ rules }) => rules),
    stop: () => stopProcess(runDir, record),
  }
}

type Kubeconfig = {
  clusters: [{ cluster: Record<string, string> }]
  users: [{ user: Record<string, string> }]
}

/** Files that the kubeconfig contains in base64, as that of kind does, are written into the directory. */
function apiServer(kubeconfig: string, directory: string): object {
  const { clusters, users } = parse(readFileSync(kubeconfig, 'utf8')) as Kubeconfig
  const [{ cluster }] = clusters
  const [{ user }] = users
  const file = (fields: Record<string, string>, name: string) => {
    const data = fields[`${name}-data`]
    if (data === undefined) return fields[name]
    writeFileSync(join(directory, name), Buffer.from(data, 'base64'), { mode: 0o600 })
    return join(directory, name)
  }
  return {
    job_name: 'apiserver',
    scheme: 'https',
    ...(user['token'] !== undefined && { authorization: { credentials: user['token'] } }),
    tls_config: {
      ca_file: file(cluster, 'certificate-authority'),
      cert_file: file(user, 'client-certificate'),
      key_file: file(user, 'client-key'),
    },
    static_configs: [{ targets: [new URL(cluster['server'] ?? '').host] }],
  }
}
