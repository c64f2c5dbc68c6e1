/** `kubectl port-forward` as a process. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { currentCluster } from './cluster.ts'
import { waitFor } from './wait.ts'

export type PortForward = { port: number; stop(): Promise<void> }

/** Forwards a free port of this machine to a port of a pod of a Deployment. */
export async function startPortForward(
  deployment: string,
  namespace: string,
  port: number,
): Promise<PortForward> {
  const { kubectl, kubeconfig, runDir } = currentCluster()
  const args = ['port-forward', '-n', namespace, `deployment/${deployment}`, `:${port}`]
  const forward = spawn(kubectl, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    // kubectl writes its cache into HOME, and without it into the current directory.
    env: { KUBECONFIG: kubeconfig, HOME: runDir },
  })
  let output = ''
  for (const stream of [forward.stdout, forward.stderr])
    stream.on('data', (chunk) => (output += String(chunk)))
  const local = await waitFor(
    'the port of kubectl port-forward',
    () => /^Forwarding from 127\.0\.0\.1:(\d+) /m.exec(output)?.[1],
    { stopReason: () => (forward.exitCode === null ? undefined : `it exited: ${output}`) },
  )
  return {
    port: Number(local),
    stop: async () => {
      if (forward.exitCode !== null) return
      const ended = once(forward, 'exit')
      forward.kill('SIGKILL')
      await ended
    },
  }
}
