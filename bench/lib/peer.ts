/** Reads the definition of another admission webhook that `--peer FILE` measures in the same run. bench/README.md describes it. */
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { z } from 'zod'
import { freePorts } from '../../e2e/harness/ports.ts'
import { mirrorHost } from './reviews.ts'
import type { Server } from './servers.ts'
import type { Workspace } from './workspace.ts'

const definition = z.strictObject({
  /** The name in the tables. */
  name: z.string().min(1),
  /** The program: a name in the PATH, or a path from the directory of the file. */
  command: z.string().min(1),
  /** Its arguments, with `{port}`, `{cert}`, `{key}`, `{registry}` (the URL of the stub registry) and `{here}` (the directory of the file). */
  args: z.array(z.string()).default([]),
  /** The path of its webhook. */
  path: z.string().startsWith('/').default('/mutate'),
  /** How many images of a pod it rewrites. Responses that rewrite fewer fail the run. */
  rewrites: z.enum(['all', 'one', 'none']).default('all'),
  /** What the rewritten images begin with. */
  mirror: z.string().min(1).default(mirrorHost),
})

/** Returns the server that a file defines, on a free port. Throws an error with the name of the file if it is not valid. */
export async function peerServer(
  file: string,
  { cert, key }: Pick<Workspace, 'cert' | 'key'>,
  registryUrl: string,
): Promise<Server> {
  const { name, command, args, ...server } = readDefinition(file)
  const [port = 0] = await freePorts(1)
  const here = dirname(resolve(file))
  const values: Readonly<Record<string, string>> = {
    port: String(port),
    cert,
    key,
    registry: registryUrl,
    here,
  }
  const fill = (text: string) =>
    text.replaceAll(/\{(\w+)\}/g, (whole, variable: string) => values[variable] ?? whole)
  const program = {
    command: command.includes('/') ? resolve(here, fill(command)) : command,
    args: args.map(fill),
  }
  return { name, program, port, ...server }
}

function readDefinition(file: string): z.output<typeof definition> {
  try {
    return definition.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch (cause) {
    const reason = cause instanceof z.ZodError ? z.prettifyError(cause) : String(cause)
    throw new Error(`${file} does not define a peer (see bench/README.md): ${reason}`, { cause })
  }
}
