/** Decides whether a secret with the name of a copy that Berth did not write becomes the copy. */
import type { ValidContent } from './content.ts'
import { adoptLabel, adoptValue, consentLabel } from './labels.ts'
import type { ForeignContent, ForeignSecret } from './objects.ts'

type Adoption =
  /** The content has to be read first. */
  | { readonly kind: 'unread' }
  | { readonly kind: 'conflict'; readonly reason: string }
  | { readonly kind: 'adopt'; readonly content: ForeignContent; readonly hasSameData: boolean }

/**
 * A secret is adopted if its content is the same, because then no one loses a credential, or if its label allows it. An
 * account that can set the label can also overwrite the content, so the label gives no new right. The copy belongs in the
 * namespace by the config, so the credential reaches no one new either.
 */
export function decideAdoption(
  secret: ForeignSecret,
  wanted: ValidContent | null,
  { namespace, name }: { readonly namespace: string; readonly name: string },
): Adoption {
  const { isOffered, isSource, tool, owner, content } = secret
  const conflict = (problem: string, fix: string): Adoption => ({
    kind: 'conflict',
    reason: `secret ${namespace}/${name} ${problem}; ${fix}`,
  })
  const label = `kubectl label secret ${name} -n ${namespace} ${adoptLabel}=${adoptValue}`
  const toRemove = `kubectl delete secret ${name} -n ${namespace}`
  if (owner !== null)
    return conflict(
      `belongs to ${owner}, which would revert what Berth writes`,
      `if ${owner} is not needed, remove it together with the secret; otherwise give the copy another name`,
    )
  if (isSource)
    return conflict(
      `is itself a source of copies (label ${consentLabel})`,
      'remove this label, or give the copy another name',
    )
  if (tool !== null && !isOffered)
    return conflict(
      `is maintained by ${tool.name}, which would overwrite what Berth writes`,
      `stop ${tool.name} from writing it, and then hand it over: ${label}`,
    )
  if (wanted === null)
    return conflict('exists and is not a copy by Berth', `to hand it over to Berth: ${label}`)
  if (content === null) return { kind: 'unread' }
  if (content.type !== wanted.type)
    return conflict(
      `has the type ${content.type} and the copy the type ${wanted.type}, which cannot be changed`,
      `if it is not needed, delete it to get the copy: ${toRemove}`,
    )
  if (content.immutable)
    return conflict('is immutable', `if it is not needed, delete it to get the copy: ${toRemove}`)
  const hasSameData = content.hash === wanted.hash && content.members[0] === wanted.member
  if (!hasSameData && !isOffered)
    return conflict(
      'is not a copy by Berth, and its content differs from that of the source',
      `if its content is not needed, let Berth overwrite it: ${label}`,
    )
  return { kind: 'adopt', content, hasSameData }
}
