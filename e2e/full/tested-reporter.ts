/** A reporter of Vitest that writes the results of `npm run e2e:full` to docs/tested.md. */
import { readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Reporter, TestCase, TestModule } from 'vitest/node'
import { repository } from '../harness/paths.ts'
import { type TestedFile, updatePage } from './tested-page.ts'
import { programsOf } from './versions.ts'

const page = join(repository, 'docs/tested.md')

// oxlint-disable-next-line import/no-default-export -- Vitest starts the default export.
export default class TestedReporter implements Reporter {
  private readonly programs = new Map<string, string[]>()

  /** The cluster, whose versions some files name, runs until the last module has ended. */
  async onTestModuleEnd(module: TestModule): Promise<void> {
    if (module.state() === 'skipped') return
    this.programs.set(module.moduleId, await programsOf(basename(module.moduleId)))
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const files = modules
      .map((module) => readModule(module, this.programs.get(module.moduleId) ?? []))
      .filter((file) => file !== null)
    if (files.length > 0) writeFileSync(page, updatePage(readFileSync(page, 'utf8'), files))
  }
}

/** Null if some tests did not run, for example because of a filter. */
function readModule(module: TestModule, programs: readonly string[]): TestedFile | null {
  const tests = [...module.children.allTests()]
  const hasRun = tests.every((test) => ['passed', 'failed'].includes(test.result().state))
  if (tests.length === 0 || !hasRun) return null
  const file = basename(module.moduleId)
  return {
    file,
    date: new Date().toISOString().slice(0, 10),
    programs,
    tests: tests.map((test) => ({
      name: test.fullName,
      result: test.result().state,
      seconds: (test.diagnostic()?.duration ?? 0) / 1_000,
      ...noteOf(test),
    })),
  }
}

function noteOf(test: TestCase): { note?: string } {
  const { note } = test.meta()
  return note === undefined ? {} : { note }
}
