/** Defines `berth nodes`, whose verbs have a file each. */
import { addVerb, type DefineVerb } from '../verb.ts'
import { defineNodesApply } from './nodes-apply.ts'
import { defineNodesCheck } from './nodes-check.ts'
import { defineNodesDetect } from './nodes-detect.ts'
import { defineNodesRender } from './nodes-render.ts'

export const defineNodes: DefineVerb = (parent, run) => {
  const command = addVerb(parent, {
    name: 'nodes',
    summary: 'Manage the registry files of container runtimes on nodes',
    details:
      'Writes the mirrors of the fallback table into the files that container runtimes read.',
    examples: [
      ['Show the files for K3s', 'berth nodes render --target k3s'],
      ['Show which runtime each node of a cluster has', 'berth nodes detect --cluster'],
    ],
  })
  command.helpCommand(false)
  for (const define of [defineNodesRender, defineNodesDetect, defineNodesCheck, defineNodesApply])
    define(command, run)
}
