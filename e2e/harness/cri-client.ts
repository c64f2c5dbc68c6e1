/** Calls the image service of a container runtime, as the kubelet does (k8s.io/cri-api, runtime/v1/api.proto). */
import { connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'

/** Codes of gRPC (google.golang.org/grpc/codes). */
const ok = '0'
const unimplemented = '12'

export type CriAnswer =
  | 'ok'
  | 'failed'
  /** The runtime runs without its CRI service. */
  | 'no CRI'
  /** Nothing listens on the socket. */
  | 'no answer'

/** Pulls an image. */
export function pullThroughCri(socket: string, image: string): Promise<CriAnswer> {
  return call(socket, 'PullImage', field(1, field(1, Buffer.from(image))))
}

/** Lists the images, to see whether the service answers. */
export function listThroughCri(socket: string): Promise<CriAnswer> {
  return call(socket, 'ListImages', Buffer.alloc(0))
}

async function call(socket: string, method: string, message: Buffer): Promise<CriAnswer> {
  const session = connectHttp2('http://runtime', { createConnection: () => connect(socket) })
  try {
    return await new Promise<CriAnswer>((resolve) => {
      session.on('error', () => resolve('no answer'))
      const stream = session.request({
        ':method': 'POST',
        ':path': `/runtime.v1.ImageService/${method}`,
        'content-type': 'application/grpc',
        te: 'trailers',
      })
      const onHeaders = (headers: Readonly<Record<string, unknown>>) => {
        const status = headers['grpc-status']
        if (status === ok) resolve('ok')
        else if (status !== undefined) resolve(status === unimplemented ? 'no CRI' : 'failed')
      }
      stream.on('response', onHeaders).on('trailers', onHeaders)
      stream.on('error', () => resolve('no answer'))
      stream.resume()
      stream.end(grpcMessage(message))
    })
  } finally {
    session.destroy()
  }
}

/** A field of type bytes, string or message. `body` is shorter than 128 bytes, so its length is one byte. */
function field(number: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([(number << 3) | 2, body.length]), body])
}

/** An uncompressed message with its length (gRPC over HTTP2, Length-Prefixed-Message). */
function grpcMessage(body: Buffer): Buffer {
  const prefix = Buffer.alloc(5)
  prefix.writeUInt32BE(body.length, 1)
  return Buffer.concat([prefix, body])
}
