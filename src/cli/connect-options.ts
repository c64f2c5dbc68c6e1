import type { ConnectOptions } from '../kube/connect.ts'
import type { Io } from './io.ts'
import type { ConnectionOptions } from './options.ts'

/** Returns the cluster that the options name. */
export function connectOptions(
  { kubeconfig, context }: ConnectionOptions,
  { env }: Pick<Io, 'env'>,
): ConnectOptions {
  return { kubeconfig, context, env }
}
