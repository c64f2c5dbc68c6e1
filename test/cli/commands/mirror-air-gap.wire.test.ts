import { execFile, execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { berth } from '../../support/io.ts'
import { bytes, startStore, type Store } from '../../support/store-registry.ts'

const run = promisify(execFile)

/** Returns why the far side cannot run here; null if it can. */
function obstacle(): string | null {
  const attempt = (file: string, args: readonly string[]): boolean => {
    try {
      execFileSync(file, args, { stdio: 'ignore' })
      return true
    } catch {
      return false
    }
  }
  if (!attempt('docker-registry', ['--version'])) return 'there is no docker-registry in PATH'
  const canUnshare = attempt('unshare', ['-rn', 'ip', 'link', 'set', 'lo', 'up'])
  return canUnshare ? null : 'this user cannot create network namespaces with `unshare -rn`'
}

const registryPort = 5000

/** Runs in the namespace: starts the registry, pushes the layout twice, and prints what the registry serves. */
const farSide = `
exec 2>&1
set -eu
ip link set lo up
echo "routes: $(ip route show table main | wc -l)"
docker-registry serve "$REGISTRY_CONFIG" > "$DIRECTORY/registry.log" 2>&1 &
trap 'kill $!' EXIT
for attempt in $(seq 100); do
  "$NODE" -e 'fetch("http://127.0.0.1:${registryPort}/v2/").catch(() => process.exit(1))' && break
  sleep 0.1
done
"$NODE" "$BERTH" mirror --config "$CONFIG" --from "$LAYOUT" --referrers
"$NODE" "$BERTH" mirror --config "$CONFIG" --from "$LAYOUT" --referrers
"$NODE" -e '
const types = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"
const url = "http://127.0.0.1:${registryPort}/v2/docker.io/library/nginx/manifests/"
for (const tag of process.argv.slice(1)) {
  const answer = await fetch(url + tag, { headers: { accept: types } })
  console.log("served:", tag, answer.headers.get("docker-content-digest"))
}' --input-type=module 1.29 "$SIGNATURE"
`

let directory: string
let source: Store

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'berth-air-gap-'))
  source = await startStore()
})

afterEach(async () => {
  await source.close()
  rmSync(directory, { recursive: true, force: true })
})

function write(name: string, text: string): string {
  const file = join(directory, name)
  writeFileSync(file, text)
  return file
}

const table = (registries: string) => `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [${registries}]
fallback:
  - { name: all, images: ['**'], try: ['127.0.0.1:${registryPort}/{host}/{path}'], otherwise: deny }
`

describe('a layout behind an air gap', () => {
  it.for([
    ['oci', 'layout'],
    ['oci-archive', 'layout.tar'],
  ] as const)(
    'is pushed from %s to docker-registry in a network namespace without a route',
    { timeout: 120_000 },
    async ([kind, name], { skip }) => {
      const reason = obstacle()
      if (reason !== null) skip(reason)
      const nginx = source.addImage('library/nginx', '1.29', { layers: [bytes(300_000, 'nginx')] })
      const signatureTag = `${nginx.replace(':', '-')}.sig`
      const signature = source.addImage('library/nginx', signatureTag, { layers: [bytes(9, 's')] })
      const layout = `${kind}:${join(directory, name)}`
      const mirror = `{ host: '127.0.0.1:${registryPort}', endpoint: 'http://127.0.0.1:${registryPort}', mirror: true }`
      const near = write(
        'near.yaml',
        table(`${mirror}, { host: docker.io, endpoint: '${source.url}' }`),
      )
      const args = ['--config', near, '--to', layout, '--referrers', '-q', 'nginx:1.29']
      expect(await berth(['mirror', ...args])).toMatchObject({ code: 0 })

      const { stdout } = await run('unshare', ['-rn', 'sh', '-c', farSide], {
        env: {
          PATH: process.env['PATH'],
          NODE: process.execPath,
          BERTH: fileURLToPath(new URL('../../../src/main.ts', import.meta.url)),
          DIRECTORY: directory,
          LAYOUT: layout,
          SIGNATURE: signatureTag,
          CONFIG: write('far.yaml', table(mirror)),
          REGISTRY_CONFIG: write(
            'registry.json',
            JSON.stringify({
              version: '0.1',
              storage: { filesystem: { rootdirectory: join(directory, 'registry') } },
              http: { addr: `127.0.0.1:${registryPort}` },
            }),
          ),
        },
      })

      expect(stdout).toContain('routes: 0\n')
      expect(stdout).toMatch(/copied: .* moved/)
      expect(stdout).toMatch(/current: /)
      expect(stdout).toContain(`served: 1.29 ${nginx}\n`)
      expect(stdout).toContain(`served: ${signatureTag} ${signature}\n`)
    },
  )
})
