/** Bundles programs with all packages that they need into a few files of JavaScript, and collects the licences. */
import { globSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { rolldown } from 'rolldown'
import { bundleConsolePage } from './console-page.ts'

/** The programs of Berth. The worker is started by its file name. */
export const programs: Readonly<Record<string, string>> = {
  main: 'src/main.ts',
  'config-worker': 'src/config/config-worker.ts',
}

/**
 * Writes all code of `inputs` to `out`, a file for each input and others that they share or load later. The same sources and
 * packages give the same bytes.
 */
export async function bundle(
  root: string,
  inputs: Readonly<Record<string, string>>,
  out: string,
): Promise<void> {
  const built = await rolldown({
    cwd: root,
    input: { ...inputs },
    platform: 'node',
    tsconfig: false,
  })
  // The chunks of older builds have other names.
  for (const name of globSync('*.js', { cwd: out })) rmSync(join(out, name))
  const { output } = await built.write({
    dir: out,
    // All in one directory: src/package-root.ts relies on it.
    entryFileNames: '[name].js',
    chunkFileNames: '[name]-[hash].js',
  })
  await built.close()
  const page = await bundleConsolePage()
  for (const [name, text] of page.files) writeFileSync(join(out, name), text)
  const modules = [
    ...output.flatMap((file) => (file.type === 'chunk' ? file.moduleIds : [])),
    ...page.modules,
  ]
  writeFileSync(join(out, 'THIRD-PARTY-LICENSES.txt'), licencesOf(modules))
}

/** Returns the licences of all packages that these files are from. */
function licencesOf(files: readonly string[]): string {
  const packages = files.flatMap(
    (file) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? [],
  )
  return [...new Set(packages)]
    .map((directory) => licenceOf(directory))
    .sort()
    .join(`\n\n${'-'.repeat(80)}\n\n`)
}

function licenceOf(directory: string): string {
  const { name, version, license } = JSON.parse(
    readFileSync(join(directory, 'package.json'), 'utf8'),
  ) as Record<string, string>
  // Many packages write the name in lower case, and some call it UNLICENSE.
  const texts = readdirSync(directory)
    .filter((file) => /^(?:(?:un)?licen[cs]e|copying|notice)/i.test(file))
    .sort()
    .map((file) => readFileSync(join(directory, file), 'utf8').trim())
  if (texts.length === 0) texts.push(`The package contains no text of its licence, ${license}.`)
  return [`${name} ${version} (${license})`, ...texts].join('\n\n')
}
