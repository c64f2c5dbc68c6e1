/** Waits until a starting server has answered one review. */
import { once } from 'node:events'
import { connect as connectPlain } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { openConnection, requestBytes } from './connection.ts'
import { faultOf } from './check-response.ts'

/** Short compared with every measured start. */
const everyMs = 1

const timeoutMs = 30_000

export interface Question {
  readonly port: number
  readonly ca: string
  readonly body: Buffer
  readonly images: number
  readonly path?: string | undefined
  readonly mirror?: string | undefined
  /** Returns why the server will not answer any more; null while it may. */
  readonly stopReason: () => string | null
}

/** Sends the review as soon as the port accepts connections, and returns when the response is right. */
export async function untilAnswered({
  port,
  ca,
  body,
  images,
  path,
  mirror,
  stopReason,
}: Question): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!(await accepts(port))) {
    const reason = stopReason()
    if (reason !== null) throw new Error(reason)
    if (Date.now() > deadline) throw new Error(`nothing listens on port ${port} after 30 s`)
    await sleep(everyMs)
  }
  const { uid } = (JSON.parse(body.toString()) as { request: { uid: string } }).request
  await new Promise<void>((resolve, reject) => {
    const ask = async () => {
      const connection = await openConnection(
        { port, ca },
        {
          onEnd: (reason) => reject(new Error(reason)),
          onAnswer: (answer) => {
            connection.close()
            const fault =
              answer.status === 200 ? faultOf(answer.body(), uid, images, mirror) : answer.body()
            if (fault === null) resolve()
            else reject(new Error(`wrong response: ${fault}`))
          },
        },
      )
      connection.send(requestBytes(port, body, path))
    }
    ask().catch(reject)
  })
}

async function accepts(port: number): Promise<boolean> {
  const socket = connectPlain(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
