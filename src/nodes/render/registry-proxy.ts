/** Renders configurations of pull-through registries (distribution's `proxy`): one for each upstream, because a proxy has a single one. */
import { stringify } from 'yaml'
import { compareText } from '../../text/compare.ts'
import type { NodeFinding, NodePlan } from '../plan/node-plan.ts'
import type { NodeFile, RenderedTarget, Target } from './target.ts'

/** The default port of distribution; further registries get the following ports. */
const firstPort = 5000

export const registryProxy: Target = {
  directory: null,
  restart: 'start one registry for each file: `registry serve FILE`',
  render,
}

function render(plan: NodePlan): RenderedTarget {
  const upstreams = new Set<string>()
  const omissions: NodeFinding[] = []
  for (const { scope, row, mirrors, configPath } of plan.rules) {
    if (mirrors.length === 0) continue
    if ('host' in scope) upstreams.add(scope.host)
    else
      omissions.push({
        path: configPath,
        message: `row ${row} is for more than one host, and a pull-through registry has one upstream; name the hosts`,
      })
  }
  const hosts = [...upstreams].filter((host) => !plan.isMirror(host)).sort(compareText)
  if (hosts.length === 0)
    return { files: [], omissions, notes: ['no row has a mirror, so there is nothing to serve'] }
  const files = hosts.map((host, index): NodeFile => {
    const content = stringify(configuration(plan, host, firstPort + index))
    return { path: `${fileName(host)}.yml`, content }
  })
  const ports = hosts.map((host, index) => `${host} on port ${firstPort + index}`).join(', ')
  const notes = [
    `${ports}; use each in the \`try\` of its host, for example MIRROR:${firstPort}/{path}`,
    'a pull-through registry refuses pushes, so images that you build need another registry',
    'while its upstream is down, it serves only images that it has cached',
    'credentials are not written: set REGISTRY_PROXY_USERNAME and REGISTRY_PROXY_PASSWORD in the environment; everyone who can reach the registry then pulls with them',
  ]
  return { files, omissions, notes }
}

function configuration(plan: NodePlan, host: string, port: number): object {
  const { url } = plan.registryOf(host)
  return {
    version: 0.1,
    log: { level: 'info' },
    storage: {
      filesystem: { rootdirectory: `/var/lib/registry/${fileName(host)}` },
      delete: { enabled: true },
    },
    http: { addr: `:${port}` },
    proxy: { remoteurl: url },
  }
}

function fileName(host: string): string {
  return host.replaceAll(':', '_')
}
