/** Asks containerd to pull an image, as the kubelet does: the method PullImage of the CRI (k8s.io/cri-api, runtime/v1/api.proto). */
import { connect as connectHttp2, constants } from 'node:http2'
import { connect } from 'node:net'

/** Codes of gRPC (google.golang.org/grpc/codes). */
const unimplemented = '12'

export type PullAttempt =
  /** The pull began. The image is nowhere, so it failed. */
  | 'tried'
  /** containerd runs without its CRI service. */
  | 'no CRI'
  /** Nothing listens on the socket yet. */
  | 'no answer'

/** Pulls an image through the CRI service at a Unix socket. */
export async function pullThroughCri(socket: string, image: string): Promise<PullAttempt> {
  const session = connectHttp2('http://containerd', { createConnection: () => connect(socket) })
  try {
    return await new Promise<PullAttempt>((resolve) => {
      session.on('error', () => resolve('no answer'))
      const stream = session.request({
        ':method': 'POST',
        ':path': '/runtime.v1.ImageService/PullImage',
        'content-type': 'application/grpc',
        te: 'trailers',
      })
      const onHeaders = (headers: Readonly<Record<string, unknown>>) => {
        const status = headers['grpc-status']
        if (status !== undefined) resolve(status === unimplemented ? 'no CRI' : 'tried')
      }
      stream.on('response', onHeaders).on('trailers', onHeaders)
      stream.on('error', () => resolve('no answer'))
      stream.resume()
      stream.end(grpcMessage(field(1, field(1, Buffer.from(image)))))
    })
  } finally {
    session.close()
    session.destroy(undefined, constants.NGHTTP2_NO_ERROR)
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
