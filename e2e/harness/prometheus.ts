/** A real Prometheus: it scrapes real endpoints, evaluates the alerts that are shipped, and answers the dashboard's queries. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cacheDirectory } from './go-programs.ts'
import { currentCluster } from './cluster.ts'
import { runOk } from './command.ts'
import { freePort } from './ports.ts'
import { exitReason, startProcess, stopProcess } from './processes.ts'
import { isInstalled } from './debian-packages.ts'
import { waitFor } from './wait.ts'

export type Sample = { metric: Record<string, string>; value: [number, string] }

export type Rule = { name: string; health: string; lastError?: string; state: string }

export type Prometheus = {
  query(expression: string): Promise<Sample[]>
  rules(): Promise<Rule[]>
  stop(): Promise<void>
}

/** Where `prometheus` and `promtool` are: in PATH, or unpacked from Debian's package, which would start a service if it were installed. */
async function programs(): Promise<string> {
  if (isInstalled('prometheus') && isInstalled('promtool')) return ''
  const directory = join(cacheDirectory(), `prometheus-${process.arch}`)
  const bin = join(directory, 'usr/bin/')
  if (existsSync(join(bin, 'promtool'))) return bin
  if (process.env['CI'] !== 'true' && process.env['BERTH_E2E_INSTALL'] !== '1') {
    throw new Error(
      'there is no prometheus and promtool in PATH; with BERTH_E2E_INSTALL=1 they are taken from Debian',
    )
  }
  mkdirSync(directory, { recursive: true })
  await runOk('apt-get', ['update'])
  await runOk('apt-get', ['download', 'prometheus'], { cwd: directory })
  const [file = ''] = readdirSync(directory).filter((name) => name.endsWith('.deb'))
  await runOk('dpkg-deb', ['-x', join(directory, file), directory])
  return bin
}

/** Runs promtool on a file of this text; returns what it says, or throws with it. */
export async function promtool(args: readonly string[], cwd: string): Promise<string> {
  return runOk(`${await programs()}promtool`, args, { cwd })
}

export type Target = { job: string; addresses: readonly string[]; labels?: Record<string, string> }

/** Starts one that scrapes these targets, and the API server, each second; `rules` is a rule file's content. */
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
      apiServer(kubeconfig),
    ],
  })
  const address = `127.0.0.1:${await freePort()}`
  const record = await startProcess(runDir, {
    name: 'prometheus',
    command: `${await programs()}prometheus`,
    args: [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(directory, 'data')}`,
      `--web.listen-address=${address}`,
    ],
  })
  const get = async <T>(path: string): Promise<T> => {
    const answer = (await (await fetch(`http://${address}/api/v1/${path}`)).json()) as {
      status: string
      error?: string
      data: T
    }
    if (answer.status !== 'success') throw new Error(`${path}: ${answer.error}`)
    return answer.data
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

function apiServer(kubeconfig: string): object {
  const { clusters, users } = JSON.parse(readFileSync(kubeconfig, 'utf8')) as {
    clusters: [{ cluster: { server: string; 'certificate-authority': string } }]
    users: [{ user: { token: string } }]
  }
  const { server, 'certificate-authority': ca } = clusters[0].cluster
  return {
    job_name: 'apiserver',
    scheme: 'https',
    authorization: { credentials: users[0].user.token },
    tls_config: { ca_file: ca },
    static_configs: [{ targets: [new URL(server).host] }],
  }
}
