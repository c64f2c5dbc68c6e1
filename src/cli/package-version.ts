import { readPackageFile } from '../package-root.ts'

/** Returns the version of Berth, such as `0.2.0`. */
export function packageVersion(): string {
  const { version } = JSON.parse(readPackageFile('package.json')) as {
    readonly version: string
  }
  return version
}
