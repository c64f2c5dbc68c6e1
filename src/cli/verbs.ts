/** All verbs by task, in the order in which somebody new needs them; docs/cli.md has the same order. */
import type { DefineVerb } from './verb.ts'

/** Loads the definition of a verb. A run loads one definition only, unless it prints the list of commands. */
type LoadVerb = () => Promise<DefineVerb>

interface VerbGroup {
  readonly heading: string
  readonly verbs: Readonly<Record<string, LoadVerb>>
}

export const verbGroups: readonly VerbGroup[] = [
  {
    heading: 'Start:',
    verbs: {
      init: async () => (await import('./commands/init.ts')).defineInit,
    },
  },
  {
    heading: 'Try and test a fallback table:',
    verbs: {
      dev: async () => (await import('./commands/dev.ts')).defineDev,
      explain: async () => (await import('./commands/explain.ts')).defineExplain,
      check: async () => (await import('./commands/check.ts')).defineCheck,
      diff: async () => (await import('./commands/diff.ts')).defineDiff,
    },
  },
  {
    heading: 'Fill mirrors:',
    verbs: {
      mirror: async () => (await import('./commands/mirror.ts')).defineMirror,
      drift: async () => (await import('./commands/drift.ts')).defineDrift,
    },
  },
  {
    heading: 'Change manifests and nodes:',
    verbs: {
      rewrite: async () => (await import('./commands/rewrite.ts')).defineRewrite,
      lock: async () => (await import('./commands/lock.ts')).defineLock,
      nodes: async () => (await import('./commands/nodes.ts')).defineNodes,
      policies: async () => (await import('./commands/policies.ts')).definePolicies,
    },
  },
  {
    heading: 'Inspect and repair a cluster:',
    verbs: {
      report: async () => (await import('./commands/report.ts')).defineReport,
      console: async () => (await import('./commands/console.ts')).defineConsole,
      diagnose: async () => (await import('./commands/diagnose.ts')).defineDiagnose,
      secrets: async () => (await import('./commands/secrets.ts')).defineSecrets,
    },
  },
  {
    heading: 'Run Berth in a cluster:',
    verbs: {
      install: async () => (await import('./commands/install.ts')).defineInstall,
      certs: async () => (await import('./commands/certs.ts')).defineCerts,
      serve: async () => (await import('./commands/serve.ts')).defineServe,
      controller: async () => (await import('./commands/controller.ts')).defineController,
      uninstall: async () => (await import('./commands/uninstall.ts')).defineUninstall,
    },
  },
  {
    heading: 'Other commands:',
    verbs: {
      completion: async () => (await import('./commands/completion.ts')).defineCompletion,
    },
  },
]

export function isVerb(name: string): boolean {
  return verbGroups.some(({ verbs }) => Object.hasOwn(verbs, name))
}
