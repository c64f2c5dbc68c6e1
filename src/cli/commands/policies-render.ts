/** Defines `berth policies render`. */
import type { PoliciesRenderOptions } from '../actions/policies-render.ts'
import {
  addOptions,
  configOption,
  connectionOptions,
  outputOption,
  policiesOption,
  recursiveOption,
} from '../options.ts'
import { addVerb, type DefineVerb } from '../verb.ts'

export const definePoliciesRender: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'render',
    summary: 'Print policies with the globs of mirrored names added',
    details:
      'Keeps comments and everything else. Exits with 1 if an image is still not covered under its new name.',
    examples: [
      ['Show what is added', 'berth policies render --policies policy.yaml | diff policy.yaml -'],
    ],
  })
  addOptions(
    command,
    configOption(),
    policiesOption('policies to render').makeOptionMandatory(),
    recursiveOption('--policies'),
    outputOption(['yaml']),
    ...connectionOptions(),
  )
  command.action((options: PoliciesRenderOptions) =>
    run(async (io) => {
      const { policiesRender } = await import('../actions/policies-render.ts')
      return policiesRender(options, io)
    }),
  )
}
