/**
 * Runs the credential helpers of a docker config, for commands that a person runs (docker/docker-credential-helpers, README,
 * "Development"). The webhook and the controller never run one.
 */
import { execFile } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import { delimiter, isAbsolute, join } from 'node:path'
import { LRUCache } from 'lru-cache'
import type { Login } from '../credentials/docker-config.ts'
import { BerthError } from '../errors.ts'
import { isObject } from '../json/json.ts'

export interface HelperLogin extends Login {
  readonly identityToken: string | null
}

/** Returns the login for a server, or null if the helper has none. Rejects with BerthError. */
export type RunCredentialHelper = (helper: string, server: string) => Promise<HelperLogin | null>

/** A helper may wait for a person to unlock a keychain. */
const defaultTimeoutMs = 30_000

/** A token with many groups has 8 KiB. */
const maxOutputBytes = 64 * 1024

/** The tokens of helpers for clouds last an hour or more. */
const cacheMs = 5 * 60_000

/** Servers of one command. */
const maxServers = 100

/** docker writes this instead of a user name if the secret is an identity token. */
const tokenUser = '<token>'

/** Returns a function that runs `docker-credential-NAME` from an absolute directory of PATH, and remembers what it prints. */
export function createHelperRunner(
  env: Readonly<Record<string, string | undefined>>,
  timeoutMs = defaultTimeoutMs,
): RunCredentialHelper {
  const cache = new LRUCache<string, Promise<HelperLogin | null>>({ max: maxServers, ttl: cacheMs })
  return (helper, server) => {
    const key = JSON.stringify([helper, server])
    const login = cache.get(key) ?? run(helper, server, { env, timeoutMs })
    cache.set(key, login, { noUpdateTTL: true })
    return login
  }
}

async function run(
  helper: string,
  server: string,
  {
    env,
    timeoutMs,
  }: {
    readonly env: Readonly<Record<string, string | undefined>>
    readonly timeoutMs: number
  },
): Promise<HelperLogin | null> {
  const program = `docker-credential-${helper}`
  const path = await findProgram(program, env['PATH'] ?? '')
  if (path === null) {
    throw new BerthError('credentials-invalid', `the credential helper ${program} is not in PATH`)
  }
  const output = await new Promise<string | null>((resolve, reject) => {
    const options = {
      env,
      timeout: timeoutMs,
      maxBuffer: maxOutputBytes,
      // A helper can ignore SIGTERM.
      killSignal: 'SIGKILL',
    } as const
    const child = execFile(path, ['get'], options, (error, stdout) => {
      if (error === null) resolve(stdout)
      // The protocol has no other sign (credentials/error.go, errCredentialsNotFoundMessage).
      else if (/credentials not found/.test(stdout)) resolve(null)
      // Its output is not shown: it may contain a password.
      else
        reject(
          new BerthError(
            'credentials-invalid',
            `the credential helper ${program} failed for ${server}; run: echo ${server} | ${program} get`,
          ),
        )
    })
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(`${server}\n`)
  })
  return output === null ? null : parseLogin(output, program)
}

function parseLogin(output: string, program: string): HelperLogin {
  let document: unknown
  try {
    document = JSON.parse(output)
  } catch {
    document = null
  }
  const { Username: username, Secret: secret } = isObject(document) ? document : {}
  if (typeof username !== 'string' || typeof secret !== 'string') {
    throw new BerthError('credentials-invalid', `the credential helper ${program} printed no login`)
  }
  return username === tokenUser
    ? { username: '', password: '', identityToken: secret }
    : { username, password: secret, identityToken: null }
}

/** Relative directories are not searched: they would find a program in the directory of the command. */
async function findProgram(name: string, path: string): Promise<string | null> {
  for (const directory of path.split(delimiter).filter((each) => isAbsolute(each))) {
    const file = join(directory, name)
    try {
      await access(file, constants.X_OK)
      return file
    } catch {
      // The next directory may have the program.
    }
  }
  return null
}
