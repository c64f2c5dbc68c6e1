/** Runs other programs. */
import { spawn } from 'node:child_process'

/** The outcome of a command. The code of a command that a signal ended is -1. */
export type CommandResult = { stdout: string; stderr: string; code: number }

/** `env` is added to the environment of this process. */
export type CommandOptions = { input?: string; env?: Record<string, string>; cwd?: string }

/** Runs a command without a shell and returns its result, also if it fails. */
export function run(
  command: string,
  args: readonly string[],
  { input = '', env = {}, cwd = process.cwd() }: CommandOptions = {},
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env } })
    const stdout: Buffer[] = []
    const stderr: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
    child.on('error', reject)
    child.on('close', (code) => {
      resolve({
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
        code: code ?? -1,
      })
    })
    // A command that does not read its input closes the pipe early, which is not a failure.
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
  })
}

/** Runs a command and returns its standard output; throws with its output if it fails. */
export async function runOk(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const { stdout, stderr, code } = await run(command, args, options)
  if (code === 0) return stdout
  throw new Error(`${command} ${args.join(' ')}\nexited with ${code}: ${stderr || stdout}`)
}

/** Whether a command exists and exits with 0. */
export async function succeeds(command: string, ...args: string[]): Promise<boolean> {
  try {
    return (await run(command, args)).code === 0
  } catch {
    return false
  }
}
