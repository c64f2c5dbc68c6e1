/** `berth nodes`: the table as node files. The verb behind it decides. */
import { BerthError } from '../errors.ts'
import type { Command } from './io.ts'

export const usage = 'berth nodes render|detect|check|apply [options]'

/** Each verb is loaded when it is called. */
const verbs: Readonly<Record<string, () => Promise<Command>>> = {
  render: async () => (await import('./nodes-render.ts')).nodesRender,
  detect: async () => (await import('./nodes-detect.ts')).nodesDetect,
  check: async () => (await import('./nodes-check.ts')).nodesCheck,
  apply: async () => (await import('./nodes-apply.ts')).nodesApply,
}

export const nodes: Command = async ([name = '', ...args], io) => {
  const load = Object.hasOwn(verbs, name) ? verbs[name] : undefined
  if (load !== undefined) return (await load())(args, io)
  const known = Object.keys(verbs).join(', ')
  throw new BerthError(
    'usage',
    `${name || 'nothing'} is not known here; choose one of ${known}\nusage: ${usage}`,
  )
}
