/** The keys and certificates of the cluster. */
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runOk } from '../command.ts'
import { network, writeRunFile, writeRunJson } from './files.ts'

/** The paths of the cluster's keys and certificates. */
export type Pki = {
  ca: string
  apiServer: KeyPair
  /** The client certificate of the API server. The kubelet accepts no other client, because it runs commands as root. */
  kubeletClient: KeyPair
  serviceAccount: { privateKey: string; publicKey: string }
  /** The file with the API server's bearer tokens. */
  tokens: string
  kubeconfig: string
}

/** The paths of a certificate and its key. */
export type KeyPair = { certificate: string; key: string }

/** Creates keys, certificates and the administrator's kubeconfig for an API server at `apiUrl`. */
export async function createPki(runDir: string, apiUrl: string): Promise<Pki> {
  const dir = join(runDir, 'pki')
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const isCa = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign']
  const ca = await createCertificate(dir, 'ca', '/CN=berth-e2e-ca', isCa)
  const { nodeAddress, secondApiServer, apiServiceAddress } = network
  const addresses = ['127.0.0.1', nodeAddress, secondApiServer, apiServiceAddress]
  const names = `subjectAltName=${addresses.map((ip) => `IP:${ip}`).join()},DNS:localhost,DNS:kubernetes.default.svc`
  const apiServer = await createCertificate(dir, 'api', '/CN=kube-apiserver', [names], ca)
  const usage = 'extendedKeyUsage=clientAuth'
  const kubeletClient = await createCertificate(
    dir,
    'kubelet-client',
    '/CN=kube-apiserver',
    [usage],
    ca,
  )
  const token = randomBytes(16).toString('hex')
  return {
    ca: ca.certificate,
    apiServer,
    kubeletClient,
    serviceAccount: serviceAccountKeys(runDir),
    tokens: writeRunFile(runDir, 'pki/tokens.csv', `${token},admin,admin,system:masters\n`),
    kubeconfig: writeRunJson(runDir, 'kubeconfig', {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [
        { name: 'e2e', cluster: { server: apiUrl, 'certificate-authority': ca.certificate } },
      ],
      users: [{ name: 'admin', user: { token } }],
      contexts: [{ name: 'e2e', context: { cluster: 'e2e', user: 'admin' } }],
      'current-context': 'e2e',
    }),
  }
}

/** Creates a key and a certificate, signed by `issuer` or self-signed. Uses elliptic curves: RSA keys take seconds. */
export async function createCertificate(
  dir: string,
  name: string,
  ...[subject, extensions, issuer]: [subject: string, extensions: string[], issuer?: KeyPair]
): Promise<KeyPair> {
  const files = { certificate: join(dir, `${name}.crt`), key: join(dir, `${name}.key`) }
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const signer = issuer ? ['-CA', issuer.certificate, '-CAkey', issuer.key] : []
  const output = ['-keyout', files.key, '-out', files.certificate]
  const extra = extensions.flatMap((extension) => ['-addext', extension])
  // openssl's default configuration adds CA extensions to every certificate.
  const settings = '[req]\ndistinguished_name = name\n[name]\n'
  const config = join(dir, 'openssl.cnf')
  writeFileSync(config, settings)
  const options = ['-days', '30', '-subj', subject, '-config', config]
  await runOk('openssl', ['req', '-x509', ...options, ...key, ...signer, ...output, ...extra])
  return files
}

function serviceAccountKeys(runDir: string): Pki['serviceAccount'] {
  const { privateKey, publicKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'sec1', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  return {
    privateKey: writeRunFile(runDir, 'pki/sa.key', privateKey),
    publicKey: writeRunFile(runDir, 'pki/sa.pub', publicKey),
  }
}
