/** Builds programs of published Go modules that `go install` rejects, because their go.mod has replacements. */
import { chmodSync } from 'node:fs'
import { join } from 'node:path'
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
    const build = ['go', 'build', '-mod=readonly', '-trimpath', '-ldflags', '-s -w', '-o', partial]
    await runOk('nice', ['-n', '15', ...build, packagePath], {
      cwd: await moduleSources(module),
      env: { CGO_ENABLED: '0' },
    })
    chmodSync(partial, 0o755)
  })
  return program
}
