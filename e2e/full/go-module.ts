/** Builds Go programs that `go install` rejects: those of published modules whose go.mod has replacements, and our own. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { buildOnce } from '../harness/cached-build.ts'
import { runOk } from '../harness/command.ts'
import { cacheDirectory } from '../harness/paths.ts'

export type GoModule = { path: string; version: string }

/** Downloads the sources of a module and returns their directory. */
export async function moduleSources({ path, version }: GoModule): Promise<string> {
  const answer = await runOk('go', ['mod', 'download', '-json', `${path}@${version}`])
  return (JSON.parse(answer) as { Dir: string }).Dir
}

/** Builds a package of a module once and returns the path of the program. Takes up to half an hour on two cores. */
export async function buildModuleProgram(module: GoModule, packagePath: string): Promise<string> {
  const name = `${module.path.replaceAll('/', '-')}-${module.version}-${process.arch}`
  const program = join(cacheDirectory(), name)
  await buildOnce(program, `building ${module.path} ${module.version}`, async (partial) => {
    await goBuild(await moduleSources(module), packagePath, partial)
  })
  return program
}

/** Builds the program of a directory with a go.mod, once for each content of its files; returns the path of the program. */
export async function buildProgramOf(directory: string): Promise<string> {
  const hash = createHash('sha256')
  for (const file of readdirSync(directory).sort())
    hash.update(`${file}\0`).update(readFileSync(join(directory, file)))
  const name = `${basename(directory)}-${hash.digest('hex').slice(0, 12)}-${process.arch}`
  const program = join(cacheDirectory(), name)
  await buildOnce(program, `building ${basename(directory)}`, (partial) =>
    goBuild(directory, '.', partial),
  )
  return program
}

/** Builds with the lowest priority. */
async function goBuild(directory: string, packagePath: string, output: string): Promise<void> {
  const build = ['go', 'build', '-mod=readonly', '-trimpath', '-ldflags', '-s -w', '-o', output]
  const options = { cwd: directory, env: { CGO_ENABLED: '0' } }
  await runOk('nice', ['-n', '15', ...build, packagePath], options)
}
