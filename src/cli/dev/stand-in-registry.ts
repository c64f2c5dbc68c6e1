/** A minimal registry, so that `berth dev` has a mirror that serves images. It serves manifests only. */
import { createHash } from 'node:crypto'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface StandInRegistry {
  readonly url: string
  close(): void
}

const mediaType = 'application/vnd.oci.image.index.v1+json'

/** Serves an empty index for each repository, under any tag, on a free port of the loopback interface. */
export async function startStandIn(repositories: readonly string[]): Promise<StandInRegistry> {
  const server = createServer(createListener(repositories))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, close: () => server.close() }
}

function createListener(repositories: readonly string[]): RequestListener {
  return ({ url = '', method }, response) => {
    if (url === '/v2/') {
      // Clients ask first whether this is a registry (distribution-spec, end-1).
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(method === 'HEAD' ? '' : '{}')
      return
    }
    const [, repository = ''] = /^\/v2\/(.+)\/manifests\/[^/]+$/.exec(url) ?? []
    if (!repositories.includes(repository)) {
      const body = JSON.stringify({ errors: [{ code: 'MANIFEST_UNKNOWN' }] })
      response
        .writeHead(404, { 'content-type': 'application/json' })
        .end(method === 'HEAD' ? '' : body)
      return
    }
    // The annotation gives each repository another digest.
    const index = { schemaVersion: 2, mediaType, manifests: [], annotations: { repository } }
    const body = Buffer.from(JSON.stringify(index))
    response.writeHead(200, {
      'content-type': mediaType,
      'content-length': body.length,
      'docker-content-digest': `sha256:${createHash('sha256').update(body).digest('hex')}`,
    })
    response.end(method === 'HEAD' ? '' : body)
  }
}
