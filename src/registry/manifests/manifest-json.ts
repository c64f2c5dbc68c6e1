/** Limits on the JSON of manifests, which come from registries and which anyone can push. */
import { findJsonProblem, type JsonLimits, type JsonProblem } from '../../json/json-scanner.ts'
import { isObject, type JsonObject } from '../../json/json.ts'
import { failed } from '../http/network-error.ts'
import { RegistryError } from '../http/registry-error.ts'

/** The size that registries must accept at least (distribution-spec), and the most that containerd reads. */
export const maxManifestBytes: number = 4 * 1024 * 1024

/**
 * The largest index seen has 300 manifests with 12 values each. Parsed, 100,000 values need some 10 MB; the 1.4 million that fit
 * into 4 MiB need more than 100 MB.
 */
export const manifestLimits: JsonLimits = { maxDepth: 32, maxValues: 100_000 }

/** Returns the reason why JSON is not accepted as a manifest. */
export function describeJsonProblem(problem: JsonProblem): string {
  if (problem === 'invalid') return 'is not JSON'
  return problem === 'too deep'
    ? `nests more than ${manifestLimits.maxDepth} objects and lists`
    : 'has more than 100,000 values'
}

/** Parses a manifest. `name` is for messages. Throws RegistryError. */
export function parseManifest(bytes: Buffer, name: string): JsonObject {
  const problem = findJsonProblem(bytes, manifestLimits)
  if (problem !== null) throw invalid(`${name} ${describeJsonProblem(problem)}`)
  const document: unknown = JSON.parse(bytes.toString('utf8'))
  if (!isObject(document)) throw invalid(`${name} is not a JSON object`)
  return document
}

/** Parses a manifest or a list of referrers; an empty object if it is neither. */
export function parseManifestOrEmpty(bytes: Buffer | null): JsonObject {
  try {
    return bytes === null ? {} : parseManifest(bytes, 'manifest')
  } catch {
    return {}
  }
}

function invalid(detail: string): RegistryError {
  return new RegistryError(failed('invalid', detail))
}
