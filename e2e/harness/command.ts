import { spawn } from 'node:child_process'

/** What a finished command left behind. A command killed by a signal has code -1. */
export type CommandResult = { stdout: string; stderr: string; code: number }

/** Settings of one command: its standard input, and variables on top of the environment of this process. */
export type CommandOptions = { input?: string; env?: Record<string, string>; cwd?: string }

/** Runs a command to its end without a shell; a failure is a result like any other, for callers that expect one. */
export function run(
  command: string,
  args: readonly string[],
  { input = '', env = {}, cwd = process.cwd() }: CommandOptions = {},
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env } })
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
    child.on('error', reject)
    child.on('close', (code) => {
      resolve({
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString(),
        code: code ?? -1,
      })
    })
    // A command that does not read its input closes the pipe early; that is no failure.
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
  })
}

/** Runs a command that has to succeed; returns its standard output, or throws with all that it said. */
export async function runOk(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const { stdout, stderr, code } = await run(command, args, options)
  if (code === 0) return stdout
  throw new Error(`${command} ${args.join(' ')}\nended with ${code}: ${stderr || stdout}`)
}

/** Whether a command is there at all and ends with 0. */
export async function succeeds(command: string, ...args: string[]): Promise<boolean> {
  try {
    return (await run(command, args)).code === 0
  } catch {
    return false
  }
}
