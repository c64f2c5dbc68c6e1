/**
 * Finds the API server and the credentials of a pod's service account, as client-go does (rest/config.go, InClusterConfig).
 * Does not use client-node, whose modules take 80 MB of memory.
 */
import { existsSync, readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { join } from 'node:path'
import { Agent } from 'undici'
import type { Access } from './transport.ts'

/** Where the kubelet mounts the token, the CA and the namespace. */
export const defaultServiceAccountDirectory = '/var/run/secrets/kubernetes.io/serviceaccount'

/** Returns the URL of the API server. */
export function podServer(env: Readonly<Record<string, string | undefined>>): string {
  const host = env['KUBERNETES_SERVICE_HOST'] ?? ''
  const port = env['KUBERNETES_SERVICE_PORT'] ?? '443'
  return `https://${isIPv6(host) ? `[${host}]` : host}:${port}`
}

/** Returns the namespace of the pod; `default` in a pod without a token (automountServiceAccountToken: false). */
export function podNamespace(directory: string): string {
  const file = join(directory, 'namespace')
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : 'default'
}

/** Throws an error of `node:fs`. */
export function readPodAccess(server: string, directory: string): Access {
  const read = (name: string) => readFileSync(join(directory, name), 'utf8').trim()
  const headers = { authorization: `Bearer ${read('token')}` }
  const dispatcher = new Agent({ connect: { ca: read('ca.crt') } })
  return { server, headers, dispatcher }
}
