/** Reads node files with the loaders of the container runtimes. Needs Go, which downloads their sources the first time. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { LoaderAnswer, LoaderCase } from '../../../test/nodes/read/loader-cases.ts'
import { askGoInJson } from '../go-oracle.ts'

/** Returns what the loader of each case reads from its files, in order. */
export function runNodeConfigLoaders(cases: readonly LoaderCase[]): LoaderAnswer[] {
  const directory = mkdtempSync(join(tmpdir(), 'berth-node-loaders-'))
  try {
    const questions = cases.map(({ loader, files, ask }, index) => {
      const root = join(directory, String(index))
      writeTree(root, files)
      return { loader, root, [asksForHost(loader) ? 'host' : 'image']: ask }
    })
    // Without this tag containers/image needs the headers of gpgme, for signatures that these cases do not have.
    const flags = ['-tags', 'containers_image_openpgp']
    return askGoInJson('node-config', questions, flags)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function asksForHost(loader: LoaderCase['loader']): boolean {
  return loader.startsWith('containerd') || loader === 'talos'
}

function writeTree(root: string, files: LoaderCase['files']): void {
  mkdirSync(root, { recursive: true })
  for (const [path, content] of Object.entries(files)) {
    const file = join(root, path)
    mkdirSync(content === null ? file : dirname(file), { recursive: true })
    if (content !== null) writeFileSync(file, content)
  }
}
