import { defineConfig } from 'vitest/config'
import { RightsLastSequencer } from './e2e/harness/sequencer.ts'

/** Time limits are for failures only: far above what a test needs on a busy machine. */
const limitMs = { unit: 30_000, e2e: 600_000 }

/**
 * Unit tests open no socket. Wire tests open sockets on loopback. The e2e projects need a cluster: `npm run e2e`,
 * and `npm run e2e:full` next to large programs that take long to build.
 */
export default defineConfig({
  test: {
    sequence: { sequencer: RightsLastSequencer },
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      reporter: ['text-summary', 'html'],
      reportOnFailure: true,
    },
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/**/*.wire.test.ts'],
          globalSetup: ['test/support/temporary-directory.ts'],
          setupFiles: ['test/support/no-output.ts'],
          testTimeout: limitMs.unit,
          hookTimeout: limitMs.unit,
        },
      },
      {
        test: {
          name: 'wire',
          include: ['test/**/*.wire.test.ts'],
          globalSetup: ['test/support/temporary-directory.ts'],
          setupFiles: ['test/support/no-output.ts'],
          testTimeout: limitMs.unit,
          hookTimeout: limitMs.unit,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['e2e/scenarios/**/*.test.ts'],
          globalSetup: ['e2e/harness/global-setup.ts'],
          // One cluster, one registration of Berth and one set of registries on the node.
          fileParallelism: false,
          testTimeout: limitMs.e2e,
          hookTimeout: limitMs.e2e,
        },
      },
      {
        test: {
          name: 'e2e-full',
          include: ['e2e/full/**/*.test.ts'],
          globalSetup: ['e2e/harness/global-setup.ts'],
          fileParallelism: false,
          testTimeout: limitMs.e2e,
          hookTimeout: limitMs.e2e,
        },
      },
    ],
  },
})
