import { defineConfig } from 'vitest/config'

/** Unit tests open no socket. Wire tests open sockets on loopback. The e2e project needs a cluster: `npm run e2e`. */
export default defineConfig({
  test: {
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
          setupFiles: ['test/support/no-output.ts'],
        },
      },
      {
        test: {
          name: 'wire',
          include: ['test/**/*.wire.test.ts'],
          setupFiles: ['test/support/no-output.ts'],
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['e2e/scenarios/**/*.test.ts'],
          globalSetup: ['e2e/harness/global-setup.ts'],
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
})
