/** The order of the test files. */
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** The scenario that reads what all others wrote to the audit log. */
const lastFile = '/e2e/scenarios/rights.test.ts'

/** Keeps Vitest's order, and runs the scenario about rights last. */
export class RightsLastSequencer extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const isLast = ({ moduleId }: TestSpecification) => moduleId.endsWith(lastFile)
    return [...sorted.filter((file) => !isLast(file)), ...sorted.filter(isLast)]
  }
}
