/** Pull-through registries (distribution's `proxy`): one configuration an upstream, because a proxy has one upstream. */
import { stringify } from 'yaml'
import { defaultDomain } from '../../decision/reference/reference.ts'
import { compare, type NodeFinding, type NodePlan } from '../plan/node-plan.ts'
import type { NodeFile, Rendered, Target } from './target.ts'

/** distribution's own default port, and those behind it. */
const firstPort = 5000

export const registryProxy: Target = {
  directory: null,
  restart: 'start one registry for each file: `registry serve FILE`',
  render,
}

function render(plan: NodePlan): Rendered {
  const sources = new Set<string>()
  const omissions: NodeFinding[] = []
  for (const { scope, row, mirrors, configPath } of plan.rules) {
    if (mirrors.length === 0) continue
    if ('host' in scope) sources.add(scope.host)
    else
      omissions.push({
        path: configPath,
        message: `row ${row} is for more than one host, and a pull-through registry has one upstream; name the hosts`,
      })
  }
  const hosts = [...sources].filter((host) => !plan.isMirror(host)).sort(compare)
  const files = hosts.map((host, index): NodeFile => {
    const name = host.replaceAll(':', '_')
    return { path: `${name}.yml`, content: stringify(configuration(plan, host, firstPort + index)) }
  })
  const ports = hosts.map((host, index) => `${host} on port ${firstPort + index}`).join(', ')
  if (hosts.length === 0)
    return { files, omissions, notes: ['no row has a mirror, so there is nothing to serve'] }
  const notes = [
    `${ports}; give each its host in \`try\`, for example MIRROR:${firstPort}/{path}`,
    'a pull-through registry refuses pushes, so images that you build need another registry',
    'it serves one upstream, and what it has not kept is gone while that is away',
    `credentials are not written; give REGISTRY_PROXY_USERNAME and REGISTRY_PROXY_PASSWORD in the environment, and everyone who reaches the registry then pulls with them`,
  ]
  return { files, omissions, notes }
}

function configuration(plan: NodePlan, host: string, port: number): object {
  const { url } = plan.addressOf(host)
  const cache = `/var/lib/registry/${host === defaultDomain ? host : host.replaceAll(':', '_')}`
  return {
    version: 0.1,
    log: { level: 'info' },
    storage: { filesystem: { rootdirectory: cache }, delete: { enabled: true } },
    http: { addr: `:${port}` },
    proxy: { remoteurl: url },
  }
}
