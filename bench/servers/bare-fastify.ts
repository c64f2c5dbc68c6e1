/** A bare server with fastify, Berth's HTTP framework, and the response of the other bare servers. */
import { readFileSync } from 'node:fs'
import Fastify from 'fastify'
import { answerFor } from './fixed-response.ts'

const [, , port = '0', cert = '', key = ''] = process.argv

const app = Fastify({
  https: { cert: readFileSync(cert), key: readFileSync(key), minVersion: 'TLSv1.3' },
})
app.post('/mutate', (request, reply) =>
  reply.type('application/json').send(answerFor(request.body, 'image')),
)
await app.listen({ host: '127.0.0.1', port: Number(port) })
