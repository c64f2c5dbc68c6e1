/** Custom resource definitions of other projects, from the Go modules that publish them. */
import { readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runOk } from './command.ts'

type CrdModule = { module: string; directory: string; files: RegExp }

const modules: readonly CrdModule[] = [
  {
    module: 'github.com/cert-manager/cert-manager@v1.21.2',
    directory: 'deploy/crds',
    files: /certificates|issuers/,
  },
  {
    module: 'github.com/prometheus-operator/prometheus-operator@v0.85.0',
    directory: 'example/prometheus-operator-crd',
    files: /servicemonitors|prometheusrules/,
  },
  {
    module: 'github.com/openreports/reports-api@v0.2.1',
    directory: 'config/crd',
    files: /_reports/,
  },
]

/** Returns the files with the definitions of cert-manager, the Prometheus operator and OpenReports; downloads their modules once. */
export async function crdFiles(): Promise<string[]> {
  const perModule = await Promise.all(
    modules.map(async ({ module, directory, files }) => {
      // Outside of any Go module, so that go reads no other go.mod.
      const args = ['mod', 'download', '-json', module]
      const { Dir } = JSON.parse(await runOk('go', args, { cwd: tmpdir() })) as { Dir: string }
      const crds = join(Dir, directory)
      return readdirSync(crds)
        .filter((file) => files.test(file))
        .map((file) => join(crds, file))
    }),
  )
  return perModule.flat()
}
