/** kustomize as a program of its own, for functions that it executes; manifests without them are rendered by kubectl. */
import { runOk } from './command.ts'
import { buildKustomize } from './go-programs.ts'

/** Runs kustomize and returns its output; throws with its error output if it fails. */
export async function kustomizeOk(args: readonly string[]): Promise<string> {
  return runOk(await buildKustomize(), args)
}
