/** Finds the platforms of the image that a new pod gets. */
import { parseReference } from '../decision/reference/parse.ts'
import type { ExplainDependencies, ExplainResult } from '../explain/explain-image.ts'

/** Returns null if they are not known: the registry was not asked, or did not answer. */
export async function findPlatforms(
  { resolve, timeoutMs }: Pick<ExplainDependencies, 'resolve' | 'timeoutMs'>,
  { explanation }: ExplainResult,
): Promise<readonly string[] | null> {
  if (resolve === null || 'error' in explanation) return null
  const found = explanation.candidates.find(({ outcome }) => outcome === 'found')
  const parsed = parseReference(found?.image ?? '')
  const reference = found?.digest ?? null
  if (!parsed.ok || reference === null) return null
  const { domain: host, path: repository } = parsed.reference
  const query = { host, repository, reference, namespace: '' }
  const check = await resolve.platforms?.check(query, [], AbortSignal.timeout(timeoutMs))
  return check?.available ?? null
}
