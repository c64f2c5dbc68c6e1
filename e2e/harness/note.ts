/** What a test measured, for docs/tested.md. */
import type { TestContext } from 'vitest'
import { log } from './log.ts'

declare module 'vitest' {
  interface TaskMeta {
    note?: string
  }
}

/** Prints a measured result, and adds it to the result of the test. */
export function note({ task }: TestContext, text: string): void {
  log(text)
  task.meta.note = text
}
