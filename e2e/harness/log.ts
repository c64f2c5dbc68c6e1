/** Progress lines of the harness. */

/** Prints a line for the person who watches the run. */
export function log(text: string): void {
  console.log(`e2e: ${text}`)
}

/** Prints a line before and after a step that can take long, the second one with its duration. */
export async function logStep<Result>(text: string, step: () => Promise<Result>): Promise<Result> {
  log(text)
  const started = performance.now()
  const result = await step()
  log(`${text}: done after ${((performance.now() - started) / 1_000).toFixed(1)} s`)
  return result
}
