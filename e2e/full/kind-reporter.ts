/** A reporter of Vitest that writes the results of `npm run e2e:kind` to docs/tested.md: a row for each scenario file. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Reporter, TestModule } from 'vitest/node'
import { log } from '../harness/log.ts'
import { repository } from '../harness/paths.ts'
import { kindPrograms } from './kind-programs.ts'
import { type TestedFile, updatePage } from './tested-page.ts'

const page = join(repository, 'docs/tested.md')

// oxlint-disable-next-line import/no-default-export -- Vitest starts the default export.
export default class KindReporter implements Reporter {
  private programs: string[] | undefined

  /** The cluster runs until the last module has ended. */
  async onTestModuleEnd(): Promise<void> {
    this.programs ??= await kindPrograms()
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const all = readdirSync(join(repository, 'e2e/scenarios')).filter((file) =>
      file.endsWith('.test.ts'),
    )
    if (modules.length < all.length || this.programs === undefined) {
      log('docs/tested.md is unchanged, because not all scenarios ran')
      return
    }
    const tested: TestedFile = {
      file: 'e2e/scenarios on kind',
      date: new Date().toISOString().slice(0, 10),
      programs: this.programs,
      tests: modules.map(rowOf).sort((a, b) => (a.name < b.name ? -1 : 1)),
    }
    writeFileSync(page, updatePage(readFileSync(page, 'utf8'), [tested]))
  }
}

function rowOf(module: TestModule): TestedFile['tests'][number] {
  const states = [...module.children.allTests()].map((test) => test.result().state)
  const count = (state: string) => states.filter((each) => each === state).length
  const others = ['failed', 'skipped'].filter((state) => count(state) > 0)
  return {
    name: basename(module.moduleId),
    result: module.state(),
    seconds: module.diagnostic().duration / 1_000,
    note: [`${count('passed')} tests`, ...others.map((state) => `${count(state)} ${state}`)].join(),
  }
}
