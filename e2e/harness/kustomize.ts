/** The kustomize program, for kustomizations that execute functions. kubectl renders all others. */
import { runOk } from './command.ts'
import { buildKustomize } from './go-programs.ts'

/** Runs kustomize and returns its output; throws with its error output if it fails. */
export async function kustomizeOk(args: readonly string[]): Promise<string> {
  return runOk(await buildKustomize(), args)
}
