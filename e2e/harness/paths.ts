/** Paths in this checkout, and the directory that keeps what is built or installed once. */
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The root of this checkout. */
export const repository = fileURLToPath(new URL('../../', import.meta.url))

/** The entry point of Berth, which Node runs as TypeScript. */
export const berthMain = join(repository, 'src/main.ts')

/** Runs the controller with shorter times than `berth controller`. */
export const shortTimesController = join(repository, 'e2e/harness/short-times-controller.ts')

/** Returns the text of a page under docs/. */
export function readDocs(page: string): string {
  return readFileSync(join(repository, 'docs', page), 'utf8')
}

/** Returns the directory in the user's cache for programs that are built or installed once. */
export function cacheDirectory(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'berth-e2e')
}
