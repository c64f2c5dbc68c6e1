/** A kustomization of deploy/ with what the faults need. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeOverlay } from '../overlay.ts'
import { clockModule } from './stepped-clock.ts'

/**
 * Writes the kustomization and returns its directory: three replicas, a mounted pull secret, a short rotation of the CA, and a
 * clock that can be stepped. `failurePolicy` is Ignore, because the patch of `fail-closed` is undone. The tests run on the node too,
 * and with 50m and 10m of CPU Berth gets a twentieth and a hundredth of what each of their processes gets.
 */
export function writeChaosOverlay({
  config,
  secret,
  timeoutSeconds,
}: {
  config: string
  secret: string
  timeoutSeconds: number
}): string {
  const volume = (name: string, source: string, path: string) => `
      - { op: add, path: /spec/template/spec/volumes/-, value: { name: ${name}, ${source} } }
      - op: add
        path: /spec/template/spec/containers/0/volumeMounts/-
        value: { name: ${name}, mountPath: ${path}, readOnly: true }`
  const directory = writeOverlay('chaos', {
    base: 'deploy/base',
    files: { 'berth.yaml': config },
    components: ['fail-closed', 'pull-failures', 'pull-secret-warnings'],
    extra: `  - { name: chaos-clock, namespace: berth-system, files: [clock.mjs] }
patches:
  - target: { kind: MutatingWebhookConfiguration, name: berth }
    patch: |
      - { op: replace, path: /webhooks/0/failurePolicy, value: Ignore }
      - { op: replace, path: /webhooks/0/timeoutSeconds, value: ${timeoutSeconds} }
  - target: { kind: Deployment, name: berth-webhook }
    patch: |
      - { op: add, path: /spec/template/spec/containers/0/args/-, value: --settle-seconds=5 }
  - target: { kind: Deployment, name: berth-(webhook|controller) }
    patch: |
      - { op: replace, path: /spec/template/spec/containers/0/resources/requests/cpu, value: 300m }
      - op: add
        path: /spec/template/spec/containers/0/env
        value: [{ name: NODE_OPTIONS, value: --import=/etc/chaos/clock.mjs }]${volume(
          'registry-mirror',
          `secret: { secretName: ${secret}, optional: true }`,
          `/var/run/secrets/berth/${secret}`,
        )}${volume('clock', 'configMap: { name: chaos-clock }', '/etc/chaos')}
`,
  })
  writeFileSync(join(directory, 'clock.mjs'), clockModule)
  return directory
}
