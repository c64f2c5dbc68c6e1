/** Normal reviews at a steady rate. Each must be rewritten; the latency of each is kept. */
import { faultOf } from './check-response.ts'
import { type Answer, type Connection, openConnection, type Target } from './connection.ts'
import { benchUid } from './reviews.ts'
import { imagesEach, soakRequests } from './soak-load.ts'

export interface PacedLoad {
  /** Milliseconds of each review so far. */
  readonly latencies: readonly number[]
  readonly failures: readonly string[]
  /** Ends when the last review is answered. */
  stop(): Promise<void>
}

/** Starts `count` connections that send a review each `intervalMs`, or later if the last one is not answered yet. */
export async function startPacedLoad(
  target: Target,
  { count, intervalMs }: { readonly count: number; readonly intervalMs: number },
): Promise<PacedLoad> {
  const requests = soakRequests(target.port)
  const latencies: number[] = []
  const failures: string[] = []
  let sent = 0
  const stop = new AbortController()
  const senders = Array.from({ length: count }, async () => {
    let connection: Connection | null = null
    let settle: (answer: Answer | string) => void = () => undefined
    while (!stop.signal.aborted) {
      const started = performance.now()
      connection ??= await openConnection(target, {
        onAnswer: (answer) => settle(answer),
        onEnd: (reason) => {
          connection = null
          settle(reason)
        },
      })
      const answered = new Promise<Answer | string>((resolve) => (settle = resolve))
      connection.send(requests[sent++ % requests.length] ?? Buffer.alloc(0))
      const fault = faultIn(await answered)
      const milliseconds = performance.now() - started
      latencies.push(milliseconds)
      if (fault !== null) failures.push(fault)
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, intervalMs - milliseconds)))
    }
    connection?.close()
  })
  return {
    latencies,
    failures,
    stop: async () => {
      stop.abort()
      await Promise.all(senders)
    },
  }
}

function faultIn(answer: Answer | string): string | null {
  if (typeof answer === 'string') return answer
  const text = answer.body()
  return answer.status === 200
    ? faultOf(text, benchUid, imagesEach)
    : `status ${answer.status}: ${text}`
}
