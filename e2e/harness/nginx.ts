/** nginx as a reverse proxy in front of a registry. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cluster } from './cluster.ts'
import { unpackDebianPackage } from './debian-packages.ts'
import { freePort } from './ports.ts'
import { exitReason, startProcess, stopProcess } from './processes.ts'
import { writeServerCertificate } from './server-certificate.ts'
import { waitFor } from './wait.ts'

export type NginxOptions = {
  name: string
  /** The registry behind it: `http://host:port`. */
  upstream: string
  /** Terminates TLS with a self-signed certificate. */
  tls?: true
  /** Serves the registry below this path. The registry does not know the path. */
  prefix?: string
  /** Further directives, such as `client_max_body_size 5m;`. */
  directives?: string
}

export type Nginx = {
  url: string
  /** The path of the certificate in PEM; empty without TLS. */
  certificate: string
  /** Returns the method, path and status of each request so far, in order: `PUT /v2/x 201`. */
  accessLog(): Promise<string[]>
  stop(): Promise<void>
}

/** Starts nginx and returns when it answers. By default it sends no X-Forwarded headers, as without further configuration. */
export async function startNginx(
  { runDir, address }: Pick<Cluster, 'runDir' | 'address'>,
  { name, upstream, tls, prefix = '', directives = '' }: NginxOptions,
): Promise<Nginx> {
  const directory = join(runDir, `nginx-${name}`)
  mkdirSync(directory, { recursive: true })
  const port = await freePort(address)
  const certificate = tls === undefined ? '' : await writeServerCertificate(directory, address)
  const log = join(directory, 'access.log')
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${directory}/${kind};`)
    .join(' ')
  const file = join(directory, 'nginx.conf')
  writeFileSync(
    file,
    `daemon off; user root; pid ${directory}/pid; error_log stderr warn; worker_processes 1;
events {}
http {
  log_format short '$request_method $uri $status'; access_log ${log} short; ${temporary}
  server {
    listen ${address}:${port}${tls ? ` ssl; ssl_certificate ${certificate}; ssl_certificate_key ${directory}/key.pem` : ''};
    ${directives}
    location ${prefix}/ { proxy_pass ${upstream}/; proxy_set_header Host $http_host; }
  }
}
`,
  )
  const program = join(await unpackNginx(), 'usr/sbin/nginx')
  const spec = { name: `nginx-${name}`, command: program, args: ['-e', 'stderr', '-c', file] }
  const record = await startProcess(runDir, spec)
  await waitFor('nginx', () => readFile(join(directory, 'pid')).then(() => true), {
    stopReason: exitReason(runDir, record),
  })
  return {
    url: `${tls ? 'https' : 'http'}://${address}:${port}${prefix}`,
    certificate,
    accessLog: async () => (await readFile(log, 'utf8')).trim().split('\n'),
    stop: () => stopProcess(runDir, record),
  }
}

/** Unpacks the Debian package, once, and returns the directory. */
export function unpackNginx(): Promise<string> {
  return unpackDebianPackage('nginx')
}
