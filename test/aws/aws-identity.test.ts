import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readAwsIdentity } from '../../src/aws/aws-identity.ts'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'berth-test-'))
})

afterEach(() => rmSync(directory, { recursive: true }))

describe('readAwsIdentity', () => {
  it('reads the keys of a secret, with or without a session token', async () => {
    const secret = join(directory, 'keys')
    mkdirSync(secret)
    writeFileSync(join(secret, 'AWS_ACCESS_KEY_ID'), 'id\n')
    writeFileSync(join(secret, 'AWS_SECRET_ACCESS_KEY'), 'key\n')
    const read = () =>
      readAwsIdentity(
        { kind: 'staticKeys', secret: 'keys' },
        { secretsDirectory: directory, env: {} },
      )
    const keys = { accessKeyId: 'id', secretAccessKey: 'key' }

    expect(await read()).toMatchObject({ kind: 'keys', keys })
    writeFileSync(join(secret, 'AWS_SESSION_TOKEN'), 'token\n')
    expect(await read()).toMatchObject({ keys: { ...keys, sessionToken: 'token' } })
  })

  it('does not wait for a token file that is a pipe', async () => {
    const tokenFile = join(directory, 'token')
    execFileSync('mkfifo', [tokenFile])

    await expect(
      readAwsIdentity(
        { kind: 'webIdentity', tokenFile, roleArn: 'arn:aws:iam::1:role/r' },
        { secretsDirectory: directory, env: {} },
      ),
    ).rejects.toThrow(`${tokenFile} cannot be read: it is not a regular file`)
  })
})
