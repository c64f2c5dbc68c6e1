import { type PolicyFile, readPolicySources } from '../policies/policy-sources.ts'
import { connectOptions } from './connect-options.ts'
import { type Io, printMessage } from './io.ts'
import type { ConnectionOptions } from './options.ts'

/** Reads the policies that `--policies` names. Throws `manifest-invalid`, and what the API client throws. */
export function readPolicies(
  sources: readonly string[],
  options: ConnectionOptions & { readonly recursive?: boolean },
  io: Io,
): Promise<PolicyFile[]> {
  return readPolicySources({
    sources,
    recursive: options.recursive === true,
    stdin: io.stdin,
    connection: connectOptions(options, io),
    signal: io.signal,
    onProblem: (message) => printMessage(io, message),
  })
}
