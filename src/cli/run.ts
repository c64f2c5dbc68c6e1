/** Parses a command line, runs its verb, and turns the result or the failure into an exit code. */
import { CommanderError } from 'commander'
import { BerthError, type ErrorCode } from '../errors.ts'
import { type Io, printMessage } from './io.ts'
import { createProgram } from './program.ts'
import { isVerb } from './verbs.ts'

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
  'layout-invalid': 2,
  'file-unwritable': 2,
  'nodes-inexpressible': 2,
  'nodes-unwritable': 2,
  'nodes-undetected': 2,
  'nodes-changed': 1,
  'prune-refused': 3,
}

/** EX_SOFTWARE of sysexits.h: a bug in Berth, which must not look like one of the four documented results. */
const bugExitCode = 70

/** Verbs that help does not list. */
const hiddenVerbs: ReadonlySet<string> = new Set(['complete', 'version'])

/** Runs one command line. Never throws: it prints a BerthError's message, or the stack of a bug. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  let exitCode = 0
  const { args, verb } = readVerb(argv)
  try {
    const program = await createProgram({
      io,
      verb,
      run: async (work) => {
        exitCode = await work(io)
      },
    })
    await program.parseAsync(args, { from: 'user' })
    return exitCode
  } catch (error) {
    return report(error, io)
  }
}

interface GivenVerb {
  /** The arguments that commander parses. */
  readonly args: readonly string[]
  /** Undefined if all verbs have to be known: for the list of commands, for suggestions and for completion. */
  readonly verb: string | undefined
}

/**
 * Finds the verb. `help A B` becomes `A B --help`, since commander's own help command knows one level only. An unknown verb
 * loses its arguments, since `--help` among them would print the help of berth.
 */
function readVerb(argv: readonly string[]): GivenVerb {
  const args = argv[0] === 'help' ? [...argv.slice(1), '--help'] : argv
  const [verb = ''] = args
  if (isVerb(verb)) return { args, verb }
  const isOther = verb === '' || verb.startsWith('-') || hiddenVerbs.has(verb)
  return { args: isOther ? args : [verb], verb: undefined }
}

function report(error: unknown, io: Io): number {
  if (error instanceof CommanderError) return codeOf(error)
  if (error instanceof BerthError) {
    printMessage(io, `${error.code}: ${error.message}`)
    return exitCodes[error.code]
  }
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error)
  printMessage(io, `a bug in Berth: ${detail}`)
  return bugExitCode
}

/** Commander has already printed its message. Its exit codes are 0 for help and version, and 1 for wrong usage. */
function codeOf({ exitCode }: CommanderError): number {
  return exitCode === 0 ? 0 : exitCodes.usage
}
