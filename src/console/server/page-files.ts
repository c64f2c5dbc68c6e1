/** Loads the files of the page: built from the sources in a checkout, and as the build wrote them in the package. */
import { existsSync } from 'node:fs'
import { packageRoot, readPackageFile } from '../../package-root.ts'

export interface PageFile {
  readonly type: string
  readonly content: Buffer
}

/** By their paths. */
export type PageFiles = ReadonlyMap<string, PageFile>

const files = [
  ['/', 'console-page.html', 'text/html; charset=utf-8'],
  ['/console-page.js', 'console-page.js', 'text/javascript; charset=utf-8'],
  ['/console-page.css', 'console-page.css', 'text/css; charset=utf-8'],
  ['/console-icon.svg', 'console-icon.svg', 'image/svg+xml'],
] as const

/** What `tools/console-page.ts` exports. */
interface PageBuilder {
  buildConsolePage(): Promise<ReadonlyMap<string, string>>
}

/**
 * In a checkout, bundles the page at each start, which takes half a second: a build that was kept could be older than the
 * sources. The package has no sources, so it has the result.
 */
export async function loadPageFiles(): Promise<PageFiles> {
  const texts = existsSync(new URL('src/main.ts', packageRoot)) ? await build() : readBuilt()
  return new Map(
    files.map(([path, name, type]) => [
      path,
      { type, content: Buffer.from(texts.get(name) ?? '') },
    ]),
  )
}

async function build(): Promise<ReadonlyMap<string, string>> {
  // A computed address, so that the bundle of the package does not contain the bundler.
  const builder = (await import(new URL('tools/console-page.ts', packageRoot).href)) as PageBuilder
  return builder.buildConsolePage()
}

function readBuilt(): ReadonlyMap<string, string> {
  return new Map(files.map(([, name]) => [name, readPackageFile(`dist/${name}`)]))
}
