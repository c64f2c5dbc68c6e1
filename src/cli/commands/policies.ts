/** Defines `berth policies`. */
import { addVerb, type DefineVerb } from '../verb.ts'
import { definePoliciesRender } from './policies-render.ts'

export const definePolicies: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'policies',
    summary: 'Adapt image verification policies to mirrored names',
    details:
      'Policies of Kyverno and sigstore policy-controller select images by registry, so they do not match images that Berth has renamed. `berth check --policies` finds such policies.',
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
