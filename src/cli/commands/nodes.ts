/** `berth nodes`: the table as node files. The verb behind it decides. */
import { BerthError } from '../../errors.ts'
import type { Command } from '../io.ts'

const usage = 'berth nodes render|detect|check|apply [options]'

/** Each verb is loaded when it is called. */
const verbs: Readonly<
  Record<string, () => Promise<{ readonly command: Command; readonly usage: string }>>
> = {
  render: () =>
    import('./nodes-render.ts').then(({ nodesRender, usage: own }) => ({
      command: nodesRender,
      usage: own,
    })),
  detect: () =>
    import('./nodes-detect.ts').then(({ nodesDetect, usage: own }) => ({
      command: nodesDetect,
      usage: own,
    })),
  check: () =>
    import('./nodes-check.ts').then(({ nodesCheck, usage: own }) => ({
      command: nodesCheck,
      usage: own,
    })),
  apply: () =>
    import('./nodes-apply.ts').then(({ nodesApply, usage: own }) => ({
      command: nodesApply,
      usage: own,
    })),
}

function find(name: string): (typeof verbs)[string] | undefined {
  return Object.hasOwn(verbs, name) ? verbs[name] : undefined
}

export const nodes: Command = async ([name = '', ...args], io) => {
  const load = find(name)
  if (load !== undefined) return (await load()).command(args, io)
  const problem = name === '' ? 'no verb is given' : `${name} is not known here`
  throw new BerthError(
    'usage',
    `${problem}; choose one of ${Object.keys(verbs).join(', ')}\nusage: ${usage}`,
  )
}

/** The usage of the verb that is named, or of all of them. */
export async function usageFor([name = '']: readonly string[]): Promise<string> {
  const known = find(name)
  const loaded = await Promise.all(
    (known === undefined ? Object.values(verbs) : [known]).map((load) => load()),
  )
  return loaded.map((each) => each.usage).join('\n')
}
