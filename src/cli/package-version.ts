import { readPackageFile } from '../package-root.ts'

export function packageVersion(): string {
  const { version } = JSON.parse(readPackageFile('package.json')) as {
    readonly version: string
  }
  return version
}
