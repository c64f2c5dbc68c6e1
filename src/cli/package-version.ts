import { createRequire } from 'node:module'
import { packageRoot } from '../package-root.ts'

export function packageVersion(): string {
  const { version } = createRequire(packageRoot)('./package.json') as {
    readonly version: string
  }
  return version
}
