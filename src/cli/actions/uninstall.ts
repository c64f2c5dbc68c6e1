/** Runs `berth uninstall`: lists what Berth has in a cluster, asks, and removes it. */
import { connect } from '../../kube/connect.ts'
import { nameOf } from '../../kube/object.ts'
import { escapeLine } from '../../text/escape-terminal.ts'
import {
  planUninstall,
  type UninstallPlan,
  type UninstallStep,
} from '../../uninstall/uninstall-plan.ts'
import { uninstall } from '../../uninstall/uninstall.ts'
import { confirm } from '../confirm.ts'
import { connectOptions } from '../connect-options.ts'
import { type Io, print, printMessage } from '../io.ts'
import type { ConnectionOptions } from '../options.ts'
import { createPainter } from '../output/colour.ts'
import { formatTable } from '../output/columns.ts'
import { printRecord } from '../output/print-record.ts'

export interface UninstallOptions extends ConnectionOptions {
  readonly plan?: boolean
  readonly yes?: boolean
  readonly namespace: string
  readonly output: 'table' | 'json' | 'yaml'
}

/** Returns 0; 1 if something is left, or could not be listed. */
export async function uninstallBerth(options: UninstallOptions, io: Io): Promise<number> {
  const { namespace } = options
  const cluster = await connect(connectOptions(options, io))
  try {
    const plan = await planUninstall(cluster.api, namespace)
    printPlan(plan, options, io)
    if (plan.steps.length === 0 || options.plan === true) return plan.unread.length === 0 ? 0 : 1
    const question = `Remove this from ${cluster.context} (${cluster.server})?`
    if (options.yes !== true && !(await confirm(question, io))) return 1
    const left = await uninstall(cluster.api, plan, {
      namespace,
      signal: io.signal,
      onStep: (step, problem) => {
        const text = `${step.action} ${textOf(step)}`
        print(
          io.stderr,
          escapeLine(problem === null ? `done  ${text}` : `failed  ${text}: ${problem}`),
        )
      },
    })
    for (const step of left.steps) print(io.stderr, escapeLine(`left  ${textOf(step)}`))
    return left.steps.length + left.unread.length === 0 ? 0 : 1
  } finally {
    await cluster.close()
  }
}

function printPlan({ steps, unread }: UninstallPlan, { output }: UninstallOptions, io: Io): void {
  for (const { resource, problem } of unread) printMessage(io, `${resource} not listed: ${problem}`)
  if (output !== 'table') {
    const records = steps.map(({ action, kind, ref: { namespace = '', name }, reason }) => {
      return { action, kind, namespace, name, reason }
    })
    printRecord(records, output, io)
  } else if (steps.length === 0)
    print(io.stderr, 'the cluster has nothing with the labels of Berth')
  else {
    const rows = steps.map(({ action, kind, ref: { namespace = '', name }, reason }) => [
      action,
      kind,
      namespace,
      name,
      reason,
    ])
    const headings = ['action', 'kind', 'namespace', 'name', 'reason']
    print(io.stdout, formatTable(headings, rows, createPainter(io.stdout, io.env)))
  }
}

function textOf({ ref }: UninstallStep): string {
  return nameOf(ref)
}
