/** Chooses the verb, and turns its failure into a message and an exit code. */
import { createRequire } from 'node:module'
import { BerthError, type ErrorCode } from '../errors.ts'
import { helpOf, usageOf } from './help.ts'
import { type Command, type Io, print } from './io.ts'

interface Verb {
  readonly summary: string
  /** Loaded when called, so that `explain` does not wait for the server's libraries. */
  readonly load: (
    args: readonly string[],
  ) => Promise<{ readonly command: Command; readonly usage: string }>
}

const verbs: Readonly<Record<string, Verb>> = {
  dev: {
    summary: 'tries a table: the webhook with throw-away certificates, and a pod through it',
    load: () => import('./commands/dev.ts').then(({ dev, usage }) => ({ command: dev, usage })),
  },
  serve: {
    summary: 'runs the webhook',
    load: () =>
      import('./commands/serve.ts').then(({ serve, usage }) => ({ command: serve, usage })),
  },
  controller: {
    summary: 'runs the loops that keep a cluster in order',
    load: () =>
      import('./commands/controller.ts').then(({ controller, usage }) => ({
        command: controller,
        usage,
      })),
  },
  check: {
    summary: 'validates the config, and runs its tests',
    load: () =>
      import('./commands/check.ts').then(({ check, usage }) => ({ command: check, usage })),
  },
  explain: {
    summary: 'shows the whole decision for each image',
    load: () =>
      import('./commands/explain.ts').then(({ explain, usage }) => ({ command: explain, usage })),
  },
  report: {
    summary: 'shows what pods run, what of it is on a mirror, and what Berth would change',
    load: () =>
      import('./commands/report.ts').then(({ report, usage }) => ({ command: report, usage })),
  },
  rewrite: {
    summary: 'writes the same decisions into manifests: for GitOps, Helm and kustomize',
    load: () =>
      import('./commands/rewrite.ts').then(({ rewrite, usage }) => ({ command: rewrite, usage })),
  },
  lock: {
    summary: 'writes down which digest each image has',
    load: () => import('./commands/lock.ts').then(({ lock, usage }) => ({ command: lock, usage })),
  },
  diff: {
    summary: 'tells which images two configs decide otherwise',
    load: () => import('./commands/diff.ts').then(({ diff, usage }) => ({ command: diff, usage })),
  },
  nodes: {
    summary: 'writes the same table as files for nodes: containerd, K3s, CRI-O, OpenShift',
    load: async (args) => {
      const { nodes, usageFor } = await import('./commands/nodes.ts')
      return { command: nodes, usage: await usageFor(args) }
    },
  },
  diagnose: {
    summary: 'tells why images do not come, from a cluster or from the message of an event',
    load: () =>
      import('./commands/diagnose.ts').then(({ diagnose, usage }) => ({
        command: diagnose,
        usage,
      })),
  },
  mirror: {
    summary: 'copies images to mirrors, with proof',
    load: () =>
      import('./commands/mirror.ts').then(({ mirror, usage }) => ({ command: mirror, usage })),
  },
  drift: {
    summary: 'tells whether mirrors still hold what upstream serves',
    load: () =>
      import('./commands/drift.ts').then(({ drift, usage }) => ({ command: drift, usage })),
  },
  secrets: {
    summary: 'copies pull secrets to namespaces, and links them to service accounts',
    load: async () => {
      const { secrets, usage } = await import('./commands/secrets.ts')
      return { command: secrets, usage }
    },
  },
  certs: {
    summary: 'makes CA, serving certificate, Secret and webhook configuration',
    load: () =>
      import('./commands/certs.ts').then(({ certs, usage }) => ({ command: certs, usage })),
  },
}

/** 1: something was found. 2: wrong usage or config. 3: a cluster or registry could not be reached. */
const exitCodes: Readonly<Record<ErrorCode, number>> = {
  'invalid-reference': 1,
  usage: 2,
  'config-unreadable': 2,
  'config-invalid': 2,
  'certificate-invalid': 2,
  'certificate-unwritable': 2,
  'credentials-invalid': 2,
  'listen-failed': 2,
  'kubeconfig-invalid': 2,
  'cluster-unreachable': 3,
  'cluster-forbidden': 3,
  'cluster-refused': 3,
  'manifest-invalid': 2,
  'lock-invalid': 2,
  'nodes-inexpressible': 2,
  'nodes-unwritable': 2,
  'nodes-undetected': 2,
  'nodes-changed': 1,
}

/** Runs one command line. Never throws: a BerthError becomes its message and its exit code, a bug becomes a stack and 70. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const isAsked = argv[0] === 'help' && argv.length > 1
  const [name = '', ...args] = isAsked ? [...argv.slice(1), '--help'] : argv
  if (name === '--version' || name === 'version') {
    print(io.stdout, version())
    return 0
  }
  if (['', '-h', '--help', 'help'].includes(name)) {
    print(name === '' ? io.stderr : io.stdout, help())
    return name === '' ? 2 : 0
  }
  try {
    const verb = Object.hasOwn(verbs, name) ? verbs[name] : undefined
    if (verb === undefined)
      throw new BerthError('usage', `${name} is not a command of berth; \`berth help\` lists them`)
    const { command, usage } = await verb.load(args)
    if (!args.some((each) => each === '--help' || each === '-h')) return await command(args, io)
    print(io.stdout, `${verb.summary}\n\n${usageOf(usage)}`)
    return 0
  } catch (error) {
    return report(error, io)
  }
}

/** EX_SOFTWARE of sysexits.h: a bug, which none of the four documented codes may hide. */
const bugExitCode = 70

function report(error: unknown, io: Io): number {
  if (error instanceof BerthError) {
    print(io.stderr, `berth: ${error.code}: ${error.message}`)
    return exitCodes[error.code]
  }
  print(
    io.stderr,
    `berth: a bug: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
  )
  return bugExitCode
}

function help(): string {
  return helpOf(new Map(Object.entries(verbs).map(([name, { summary }]) => [name, summary])))
}

function version(): string {
  const { version: text } = createRequire(import.meta.url)('../../package.json') as {
    readonly version: string
  }
  return text
}
