/** Options of fastify for servers that validate and serialize without JSON Schemas. */
import type { FastifyServerOptions } from 'fastify'

const never = () => {
  throw new Error('no route has a schema')
}

/** Without them, fastify loads two compilers of schemas: 5 MB, which take as long as the rest of fastify. */
export const withoutSchemas: NonNullable<FastifyServerOptions['schemaController']> = {
  compilersFactory: { buildValidator: never, buildSerializer: never },
}
