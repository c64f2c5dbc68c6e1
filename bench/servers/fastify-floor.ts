/** The floor of Berth's start: its HTTP framework and nothing else of it, with the answer of the bare server. */
import { readFileSync } from 'node:fs'
import Fastify from 'fastify'
import { answerFor } from './fixed-answer.ts'

const [, , port = '0', cert = '', key = ''] = process.argv

const app = Fastify({
  https: { cert: readFileSync(cert), key: readFileSync(key), minVersion: 'TLSv1.3' },
})
app.post('/mutate', (request, reply) =>
  reply.type('application/json').send(answerFor(request.body, 'image')),
)
await app.listen({ host: '127.0.0.1', port: Number(port) })
