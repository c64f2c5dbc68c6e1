/** Finds and reads the files of the package that are not code: manifests, schemas, lists and the page of the console. */
import { readdirSync, readFileSync } from 'node:fs'
// The names of this module differ between versions of Node.js, so it is not imported by name.
import sea from 'node:sea'
import { fileURLToPath } from 'node:url'

/**
 * The directory of package.json and webhook-config: one level above src, and above dist, where the build puts all code. The
 * single-file executable has no such directory; use the functions below to read files.
 */
export const packageRoot = new URL('..', import.meta.url)

/** Returns the text of a file of the package, such as `webhook-config/berth.schema.json`. Throws if there is none. */
export function readPackageFile(path: string): string {
  return sea.isSea() ? sea.getAsset(path, 'utf8') : readFileSync(new URL(path, packageRoot), 'utf8')
}

/** Returns the path of a file of the package; null in the single-file executable, where it is part of the program. */
export function packageFilePath(path: string): string | null {
  return sea.isSea() ? null : fileURLToPath(new URL(path, packageRoot))
}

/** Returns the sorted names of the files and directories in a directory of the package, such as `deploy/components`. */
export function listPackageDirectory(directory: string): readonly string[] {
  if (!sea.isSea()) return readdirSync(new URL(directory, packageRoot)).toSorted()
  const prefix = `${directory}/`
  const names = sea
    .getAssetKeys()
    .filter((key) => key.startsWith(prefix))
    .map((key) => key.slice(prefix.length).split('/')[0] ?? '')
  return [...new Set(names)].toSorted()
}
