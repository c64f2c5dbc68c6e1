/** Builds Helm 4. The other tests use Helm 3. */
import { buildPublishedProgram } from '../harness/go-programs.ts'

export const helm4Version = 'v4.3.2'

/** Builds Helm 4 once and returns the program's path. */
export function buildHelm4(): Promise<string> {
  return buildPublishedProgram('helm.sh/helm/v4/cmd/helm', helm4Version)
}
