/** Defines `berth policies`. */
import { addVerb, type DefineVerb } from '../verb.ts'
import { definePoliciesRender } from './policies-render.ts'

export const definePolicies: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'policies',
    summary: 'Adapt image verification policies to mirrored names',
    details:
      'Policies of Kyverno and of sigstore policy-controller name registries, and no longer match an image whose name Berth changes. `berth check --policies` finds such policies.',
    examples: [
      [
        'Add the mirrored names to the policies of a cluster',
        'berth policies render --policies cluster > policies.yaml',
      ],
    ],
  })
  command.helpCommand(false)
  definePoliciesRender(command, run)
}
