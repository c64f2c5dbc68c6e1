/** Calls the API server directly, because kubectl takes longer to start than a pod to be created. */
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import type { Cluster } from '../../e2e/harness/cluster.ts'
import { kubectlOn } from '../../e2e/harness/kubectl.ts'

export interface KubeClient {
  /** Throws with the API server's message if the request fails. */
  send(method: 'GET' | 'POST' | 'DELETE', path: string, body?: object): Promise<string>
  close(): void
}

interface Kubeconfig {
  readonly clusters: readonly [
    {
      readonly cluster: { readonly server: string; readonly 'certificate-authority-data': string }
    },
  ]
  readonly users: readonly [
    {
      readonly user: {
        readonly token?: string
        readonly 'client-certificate-data'?: string
        readonly 'client-key-data'?: string
      }
    },
  ]
}

/** Idle connections are closed after this time. */
const idleMs = 20_000

/** A client with the administrator's rights and this many keep-alive connections. */
export async function createKubeClient(cluster: Cluster, connections: number): Promise<KubeClient> {
  const view = ['config', 'view', '--raw', '--flatten', '--output=json']
  const { stdout } = await kubectlOn(cluster, view)
  const { clusters, users } = JSON.parse(stdout) as Kubeconfig
  const { user } = users[0]
  const decoded = (text: string | undefined) =>
    text === undefined ? undefined : Buffer.from(text, 'base64')
  const { server, 'certificate-authority-data': ca } = clusters[0].cluster
  const agent = new Agent({
    keepAlive: true,
    maxSockets: connections,
    // The API server closes idle connections after 90 seconds.
    timeout: idleMs,
    ca: decoded(ca),
    cert: decoded(user['client-certificate-data']),
    key: decoded(user['client-key-data']),
  })
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json',
    ...(user.token === undefined ? {} : { authorization: `Bearer ${user.token}` }),
  }
  return {
    close: () => agent.destroy(),
    send: async (method, path, body) => {
      const text = body === undefined ? '' : JSON.stringify(body)
      const sent = request(new URL(path, server), {
        method,
        agent,
        headers: { ...headers, 'content-length': Buffer.byteLength(text) },
      })
      sent.end(text)
      const [response] = (await once(sent, 'response')) as [IncomingMessage]
      const chunks: Buffer[] = []
      for await (const chunk of response) chunks.push(chunk as Buffer)
      const answer = Buffer.concat(chunks).toString()
      const { statusCode = 0 } = response
      if (statusCode < 200 || statusCode > 299)
        throw new Error(`${method} ${path}: ${statusCode} ${answer}`)
      return answer
    },
  }
}
