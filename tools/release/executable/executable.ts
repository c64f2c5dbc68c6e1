/** Builds the single-file executables: Node.js with Berth as an asset (Node.js documentation, "Single executable applications"). */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Architecture } from '../../../deploy/image/architecture.ts'
import { filesUnder, readPackageInfo } from '../../../deploy/image/files.ts'
import { nodeProgram } from '../../../deploy/image/node-program.ts'
import { bundle, programs } from '../../bundle.ts'

/** The mark in Node.js that a program was added; from the documentation. */
const sentinelFuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'

/** Directories of the package whose files Berth reads. */
const assetDirectories = ['deploy/base', 'deploy/components', 'webhook-config']

/** Returns the executable for each architecture. Only this machine's can be run here. */
export async function buildExecutables<Name extends Architecture>(
  root: string,
  architectures: readonly Name[],
): Promise<ReadonlyMap<Name, Buffer>> {
  const directory = mkdtempSync(join(tmpdir(), 'berth-executable-'))
  try {
    const blob = await createBlob(root, directory)
    const built = new Map<Name, Buffer>()
    for (const architecture of architectures) {
      const file = join(directory, architecture)
      copyFileSync(nodeProgram(root, architecture), file)
      inject(root, file, blob)
      built.set(architecture, readFileSync(file))
    }
    return built
  } finally {
    rmSync(directory, { recursive: true })
  }
}

/** Writes the program and its assets in the format of Node.js, and returns the path. The file is the same for every architecture, without a code cache. */
async function createBlob(root: string, directory: string): Promise<string> {
  const dist = join(directory, 'dist')
  await bundle(root, programs, dist)
  const loader = join(root, 'tools/release/executable/loader.cjs')
  const info = join(directory, 'package.json')
  writeFileSync(info, JSON.stringify(readPackageInfo(root)))
  const assets = [
    ['loader.cjs', loader] as const,
    ['package.json', info] as const,
    ...filesUnder(dist).map((name) => [`dist/${name}`, join(dist, name)] as const),
    ...assetDirectories.flatMap((each) =>
      filesUnder(join(root, each)).map(
        (name) => [`${each}/${name}`, join(root, each, name)] as const,
      ),
    ),
  ]
  const settings = join(directory, 'sea.json')
  const output = join(directory, 'blob')
  // Node.js writes the path of the main script into the blob, so it must not depend on the directory.
  copyFileSync(loader, join(directory, 'loader.cjs'))
  writeFileSync(
    settings,
    JSON.stringify({
      main: 'loader.cjs',
      output,
      disableExperimentalSEAWarning: true,
      assets: Object.fromEntries(assets),
    }),
  )
  // A blob is only for the version of Node.js that wrote it.
  const node = join(root, 'node_modules/node/bin/node')
  execFileSync(node, ['--experimental-sea-config', settings], {
    cwd: directory,
    stdio: 'ignore',
  })
  return output
}

/** Its warnings about section names are of no importance to a program that is not debugged, so they are not printed. */
function inject(root: string, file: string, blob: string): void {
  const postject = join(root, 'node_modules/.bin/postject')
  execFileSync(postject, [file, 'NODE_SEA_BLOB', blob, '--sentinel-fuse', sentinelFuse], {
    stdio: 'pipe',
  })
}
