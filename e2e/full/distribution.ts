/** Version 3 of CNCF distribution. Debian's docker-registry is version 2.8. */
import { buildPublishedProgram } from '../harness/go-programs.ts'

export const distribution = 'v3.1.2'

/** Builds the registry, once, and returns the path of the program. */
export function buildDistribution(): Promise<string> {
  return buildPublishedProgram('github.com/distribution/distribution/v3/cmd/registry', distribution)
}
