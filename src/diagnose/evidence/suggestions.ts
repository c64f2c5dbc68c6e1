/** The lines of Berth's config that would avoid a pull failure, for a table without a candidate for the image. Pure. */
import { parseEcrHost } from '../../aws/ecr-host.ts'
import { parseReference } from '../../decision/reference/parse.ts'
import type { RuleData } from '../rules/rule.ts'

/** Returns no lines when Berth cannot help. */
export function suggestionsFor(
  { suggestion, isAvoidedByMirror }: Pick<RuleData, 'suggestion' | 'isAvoidedByMirror'>,
  image: string,
): readonly string[] {
  const parsed = parseReference(image)
  if (!parsed.ok || parsed.reference.domain === '') return []
  const { domain: host, path, tag } = parsed.reference
  const needsCredential = suggestion === 'ecr-token' || suggestion === 'pull-secret'
  if (needsCredential && parseEcrHost(host)?.kind === 'private')
    return [`Berth can keep a valid token in a pull secret: registries: [{ host: ${host}, credentials: { ecr: {…} } }], ecrTokens, pullSecrets`] // prettier-ignore
  if (suggestion === 'pull-secret')
    return [`Berth can add a pull secret to each new pod: pullSecrets: [{ registries: [${host}], secret: NAME }]`] // prettier-ignore
  if (suggestion === 'tag-map' && tag !== null)
    return [`a row can map the tag to one that exists: { images: [${host}/${path}], tags: { "${tag}": TAG }, try: ["${host}/{path}"] }`] // prettier-ignore
  if (suggestion === 'mirror' || isAvoidedByMirror)
    return [`a row can try a mirror first, once the image is copied to it: { images: ["${host}/**"], try: ["MIRROR/{host}/{path}", "${host}/{path}"] }`] // prettier-ignore
  return []
}
