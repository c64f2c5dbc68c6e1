/** Bundles the page of `berth console` with the packages that it needs. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'

const root = fileURLToPath(new URL('..', import.meta.url))
const directory = join(root, 'src/console/page')

/** The modules of the last bundle are for the list of licences. */
export interface ConsolePage {
  /** By name. The same sources and packages give the same texts. */
  readonly files: ReadonlyMap<string, string>
  readonly modules: readonly string[]
}

export async function bundleConsolePage(): Promise<ConsolePage> {
  const built = await rolldown({
    cwd: root,
    input: join(directory, 'main.tsx'),
    platform: 'browser',
    tsconfig: false,
    transform: { target: 'es2023', jsx: { runtime: 'automatic', importSource: 'preact' } },
  })
  const { output } = await built.generate({ format: 'es', minify: true, codeSplitting: false })
  await built.close()
  const [script] = output
  return {
    files: new Map([
      ['console-page.js', script.code],
      ['console-page.css', readFileSync(join(directory, 'page.css'), 'utf8')],
      ['console-icon.svg', readFileSync(join(directory, 'icon.svg'), 'utf8')],
      ['console-page.html', readFileSync(join(directory, 'page.html'), 'utf8')],
    ]),
    modules: script.moduleIds,
  }
}

/** Returns the files by name. `src/console/server/page-files.ts` calls this in a checkout. */
export async function buildConsolePage(): Promise<ReadonlyMap<string, string>> {
  return (await bundleConsolePage()).files
}
