/**
 * Finds the API server and the credentials of a pod's service account, as client-go does (rest/config.go, InClusterConfig).
 * Does not use client-node, whose modules take 80 MB of memory.
 */
import { readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { join } from 'node:path'
import { Agent } from 'undici'
import type { Access } from './transport.ts'

/** Where the kubelet mounts the token, the CA and the namespace. */
export const defaultServiceAccountDirectory = '/var/run/secrets/kubernetes.io/serviceaccount'

export interface PodAccess {
  readonly server: string
  /** The namespace of the pod. */
  readonly namespace: string
  readonly access: Access
}

/** Throws an error of `node:fs`. */
export function readPodAccess(
  env: Readonly<Record<string, string | undefined>>,
  directory: string,
): PodAccess {
  const host = env['KUBERNETES_SERVICE_HOST'] ?? ''
  const port = env['KUBERNETES_SERVICE_PORT'] ?? '443'
  const server = `https://${isIPv6(host) ? `[${host}]` : host}:${port}`
  const read = (name: string) => readFileSync(join(directory, name), 'utf8').trim()
  const headers = { authorization: `Bearer ${read('token')}` }
  const dispatcher = new Agent({ connect: { ca: read('ca.crt') } })
  return { server, namespace: read('namespace'), access: { server, headers, dispatcher } }
}
