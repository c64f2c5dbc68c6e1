import { X509Certificate } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { berth } from '../../support/io.ts'

const directory = () => mkdtempSync(join(tmpdir(), 'berth-test-'))

describe('berth certs', () => {
  it('writes certificates and manifests, with private keys that only their owner can read', async () => {
    const out = join(directory(), 'certs')
    const { code } = await berth([
      'certs',
      '--out',
      out,
      '--url',
      'https://10.0.0.5:8443',
      '--names',
      'other.example',
    ])
    const read = (name: string) => readFileSync(join(out, name), 'utf8')
    const leaf = new X509Certificate(read('tls.crt'))
    const config = parse(read('mutating-webhook.yaml')) as {
      webhooks: { name: string; clientConfig: Record<string, string> }[]
    }

    expect(code).toBe(0)
    expect(leaf.checkIssued(new X509Certificate(read('ca.crt')))).toBe(true)
    expect(
      [
        leaf.checkIP('10.0.0.5'),
        leaf.checkHost('other.example'),
        leaf.checkHost('berth-webhook.berth-system.svc'),
      ].every(Boolean),
    ).toBe(true)
    expect(config.webhooks.map(({ clientConfig }) => clientConfig)).toEqual([
      {
        url: 'https://10.0.0.5:8443/mutate',
        caBundle: Buffer.from(read('ca.crt')).toString('base64'),
      },
      {
        url: 'https://10.0.0.5:8443/observe',
        caBundle: Buffer.from(read('ca.crt')).toString('base64'),
      },
    ])
    expect(parse(read('secret.yaml'))).toMatchObject({
      kind: 'Secret',
      type: 'kubernetes.io/tls',
      metadata: { name: 'berth-webhook-tls', namespace: 'berth-system' },
    })
    expect(
      ['ca.key', 'tls.key', 'secret.yaml'].map((name) => statSync(join(out, name)).mode & 0o077),
    ).toEqual([0, 0, 0])
  })

  it('points the webhook configuration at the Service when no URL is given', async () => {
    const out = directory()
    await berth(['certs', '--out', out, '-n', 'infra', '--service', 'b'])
    const text = readFileSync(join(out, 'mutating-webhook.yaml'), 'utf8')
    const config = parse(text) as { webhooks: { clientConfig: object }[] }
    expect([text.includes('berth-system'), text.includes('kube-node-lease, infra')]).toEqual([
      false,
      true,
    ])

    expect(config.webhooks[0]?.clientConfig).toMatchObject({
      service: { name: 'b', namespace: 'infra', port: 443, path: '/mutate' },
    })
  })

  it('fails with the reason if the directory cannot be created', async () => {
    const { code, stderr } = await berth(['certs', '--out', '/proc/berth/certs'])

    expect(code).toBe(2)
    expect(stderr).toContain(
      'berth: certificate-unwritable: /proc/berth/certs cannot be written: it does not exist; choose another --out',
    )
  })

  it('replaces no file without --force', async () => {
    const out = directory()
    writeFileSync(join(out, 'tls.key'), 'precious')
    const refused = await berth(['certs', '--out', out])

    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('tls.key exists') })
    expect([readFileSync(join(out, 'tls.key'), 'utf8'), existsSync(join(out, 'ca.crt'))]).toEqual([
      'precious',
      false,
    ])
    expect((await berth(['certs', '--out', out, '--force'])).code).toBe(0)
  })
})
