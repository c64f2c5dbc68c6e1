/** A bare server with `node:https`: parses the review with JSON.parse, and always returns the same patch. */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { answerFor, type FixedChange } from './fixed-response.ts'

const [, , port = '0', cert = '', key = '', change = 'image', address = '127.0.0.1'] = process.argv

createServer(
  { cert: readFileSync(cert), key: readFileSync(key), minVersion: 'TLSv1.3' },
  (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = answerFor(JSON.parse(Buffer.concat(chunks).toString()), change as FixedChange)
      response
        .writeHead(200, {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
        })
        .end(body)
    })
  },
).listen(Number(port), address)
