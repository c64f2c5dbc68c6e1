/** Chooses the verb, and turns its failure into a message and an exit code. */
import { createRequire } from 'node:module'
import { BerthError, type ErrorCode } from '../errors.ts'
import { type Command, type Io, print } from './io.ts'

interface Verb {
  readonly summary: string
  /** Loaded when called, so that `explain` does not wait for the server's libraries. */
  readonly load: () => Promise<{ readonly command: Command; readonly usage: string }>
}

const verbs: Readonly<Record<string, Verb>> = {
  dev: {
    summary:
      'the webhook with throw-away certificates and an example table, and a sample pod through it',
    load: () => import('./dev.ts').then(({ dev, usage }) => ({ command: dev, usage })),
  },
  serve: {
    summary: 'the webhook',
    load: () => import('./serve.ts').then(({ serve, usage }) => ({ command: serve, usage })),
  },
  controller: {
    summary: 'the loops that keep a cluster in order',
    load: () =>
      import('./controller.ts').then(({ controller, usage }) => ({ command: controller, usage })),
  },
  check: {
    summary: 'validates the config and its tests',
    load: () => import('./check.ts').then(({ check, usage }) => ({ command: check, usage })),
  },
  explain: {
    summary: 'the whole decision for each image',
    load: () => import('./explain.ts').then(({ explain, usage }) => ({ command: explain, usage })),
  },
  report: {
    summary: 'what a cluster runs, what of it is on a mirror, and what Berth would change',
    load: () => import('./report.ts').then(({ report, usage }) => ({ command: report, usage })),
  },
  rewrite: {
    summary: 'the same decisions in manifests: for GitOps, Helm and kustomize',
    load: () => import('./rewrite.ts').then(({ rewrite, usage }) => ({ command: rewrite, usage })),
  },
  lock: {
    summary: 'writes down which digest each image has',
    load: () => import('./lock.ts').then(({ lock, usage }) => ({ command: lock, usage })),
  },
  diff: {
    summary: 'which images another config would bring from elsewhere',
    load: () => import('./diff.ts').then(({ diff, usage }) => ({ command: diff, usage })),
  },
  nodes: {
    summary: 'the same table as files for the nodes: containerd, K3s, CRI-O, OpenShift',
    load: () => import('./nodes.ts').then(({ nodes, usage }) => ({ command: nodes, usage })),
  },
  diagnose: {
    summary: 'why images do not come, from a cluster or from the message of an event',
    load: () =>
      import('./diagnose.ts').then(({ diagnose, usage }) => ({ command: diagnose, usage })),
  },
  mirror: {
    summary: 'copies images to mirrors, with proof',
    load: () => import('./mirror.ts').then(({ mirror, usage }) => ({ command: mirror, usage })),
  },
  drift: {
    summary: 'whether mirrors still hold what upstream serves',
    load: () => import('./drift.ts').then(({ drift, usage }) => ({ command: drift, usage })),
  },
  secrets: {
    summary: 'pull secrets that service accounts lack, copied and linked',
    load: async () => {
      const { secrets, usage } = await import('./secrets.ts')
      return { command: secrets, usage }
    },
  },
  certs: {
    summary: "CA, serving certificate, Secret, and the webhook configuration's caBundle",
    load: () => import('./certs.ts').then(({ certs, usage }) => ({ command: certs, usage })),
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
  const [name = '', ...args] = argv
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
    const { command, usage } = await verb.load()
    if (!args.some((each) => each === '--help' || each === '-h')) return await command(args, io)
    print(io.stdout, `${verb.summary}\n\nusage: ${usage}`)
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
  const width = Math.max(...Object.keys(verbs).map((name) => name.length))
  const lines = Object.entries(verbs).map(
    ([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`,
  )
  return [
    'berth brings every image that a cluster runs to a registry of your own',
    '',
    'usage: berth COMMAND [options]',
    '',
    ...lines,
    '',
    '`berth COMMAND --help` shows its options.',
  ].join('\n')
}

function version(): string {
  const { version: text } = createRequire(import.meta.url)('../../package.json') as {
    readonly version: string
  }
  return text
}
