/**
 * A server that answers as the registry of a product to anonymous requests. The headers and bodies are those of the products'
 * own sources and of recorded answers; see the comment of each.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'

export interface ProductAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** By path; `HOST` in a header becomes the server's. Other paths are 404. */
export type ProductAnswers = Readonly<Record<string, ProductAnswer>>

const json = { 'content-type': 'application/json; charset=utf-8' }
const version = { 'docker-distribution-api-version': 'registry/2.0' }
const unauthorized = '{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}'

export const products = {
  /** distribution, registry/handlers/app.go (apiBase). */
  'docker-registry': { '/v2/': { status: 200, headers: { ...json, ...version }, body: '{}' } },
  /** Harbor, src/server/middleware/v2auth/auth.go; api/v2.0/swagger.yaml (GeneralInfo). */
  harbor: {
    '/v2/': {
      status: 401,
      headers: {
        ...json,
        ...version,
        'www-authenticate': 'Bearer realm="https://HOST/service/token",service="harbor-registry"',
      },
      body: unauthorized,
    },
    '/api/v2.0/systeminfo': { status: 200, headers: json, body: '{"auth_mode":"db_auth"}' },
  },
  /** A Harbor behind a proxy that changes the challenge. */
  'harbor with another token service': {
    '/v2/': {
      status: 401,
      headers: { ...json, 'www-authenticate': 'Bearer realm="https://HOST/token",service="x"' },
      body: unauthorized,
    },
    '/api/v2.0/systeminfo': {
      status: 200,
      headers: json,
      body: '{"auth_mode":"oidc_auth","self_registration":false}',
    },
  },
  /** Recorded answers of Artifactory 7. */
  artifactory: {
    '/v2/': {
      status: 401,
      headers: {
        ...json,
        ...version,
        'x-jfrog-version': 'Artifactory/7.98.9 79809900',
        'www-authenticate': 'Bearer realm="https://HOST/v2/token",service="HOST"',
      },
      body: unauthorized,
    },
  },
  /** Nexus 3, with the Docker Bearer Token Realm off. */
  nexus: {
    '/v2/': {
      status: 401,
      headers: {
        ...json,
        ...version,
        server: 'Nexus/3.70.1-02 (OSS)',
        'www-authenticate': 'BASIC realm="Sonatype Nexus Repository Manager"',
      },
      body: unauthorized,
    },
  },
  /** Quay, endpoints/v2/__init__.py and auth/registry_jwt_auth.py. */
  quay: {
    '/v2/': {
      status: 401,
      headers: {
        'content-type': 'text/html; charset=utf-8',
        ...version,
        'www-authenticate': 'Bearer realm="https://HOST/v2/auth",service="HOST"',
      },
      body: 'true',
    },
  },
} as const satisfies Readonly<Record<string, ProductAnswers>>

export interface ProductServer {
  readonly host: string
  readonly requests: readonly string[]
  close(): void
}

export async function startProduct(
  answers: ProductAnswers,
  tls?: { readonly cert: string; readonly key: string },
): Promise<ProductServer> {
  const requests: string[] = []
  let host = ''
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    requests.push(`${request.method} ${request.url}`)
    if ('authorization' in request.headers) requests.push('with credentials')
    const { status, headers = {}, body = '' } = answers[request.url ?? ''] ?? { status: 404 }
    const filled = Object.entries(headers).map(([name, value]) => [
      name,
      value.replaceAll('HOST', host),
    ])
    response.writeHead(status, Object.fromEntries(filled) as Record<string, string>)
    response.end(body)
  }
  const server = tls === undefined ? createServer(handle) : createTlsServer(tls, handle)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    host,
    requests,
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}
