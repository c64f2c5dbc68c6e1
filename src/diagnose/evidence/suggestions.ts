/** What Berth can do about a cause, as lines of its config, for a cluster whose table says nothing of the image yet. Pure. */
import { parseEcrHost } from '../../aws/ecr-host.ts'
import { parseReference } from '../../decision/reference/parse.ts'
import { isOfNetwork } from './probe-evidence.ts'

const secretRules: ReadonlySet<string> = new Set(['D05', 'D07', 'D08', 'D09', 'D22', 'D26', 'D30'])
const copyRules: ReadonlySet<string> = new Set(['D38', 'D39', 'D40'])

/** None where nothing that Berth does would help. */
export function suggestionsFor(rule: string, image: string): readonly string[] {
  const parsed = parseReference(image)
  if (!parsed.ok || parsed.reference.domain === '') return []
  const { domain: host, path, tag } = parsed.reference
  if (parseEcrHost(host)?.kind === 'private' && (rule === 'D21' || secretRules.has(rule)))
    return [`Berth keeps a fresh token in a pull secret: registries: [{ host: ${host}, credentials: { ecr: {…} } }], ecrTokens, pullSecrets`] // prettier-ignore
  if (secretRules.has(rule))
    return [`Berth adds a pull secret to each new pod: pullSecrets: [{ registries: [${host}], secret: NAME }]`] // prettier-ignore
  if (rule === 'D37' && tag !== null)
    return [`a row maps the tag to one that is there: { images: [${host}/${path}], tags: { "${tag}": TAG }, try: ["${host}/{path}"] }`] // prettier-ignore
  if (copyRules.has(rule) || isOfNetwork(rule))
    return [`a row tries a mirror first, once the image is there: { images: ["${host}/**"], try: ["MIRROR/{host}/{path}", "${host}/{path}"] }`] // prettier-ignore
  return []
}
