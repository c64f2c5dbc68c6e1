/** Which programs, in which versions, each file of this folder runs Berth with. */
import { runOk } from '../harness/command.ts'
import { kubernetesVersion } from '../harness/go-programs.ts'
import { haproxyVersion } from '../harness/haproxy.ts'
import { certManagerModule } from './cert-manager.ts'
import { kindPrograms } from './kind-programs.ts'
import { kyvernoModule } from './kyverno.ts'
import { policyControllerModule } from './policy-controller.ts'
import { distribution } from './distribution.ts'
import { helm4Version } from './helm-4-program.ts'
import { olderVersion } from './older-version.ts'
import { cosignVersion, krewVersion, oldestNode } from './release-programs.ts'

const kubernetes = `Kubernetes ${kubernetesVersion}`

const programs: Readonly<Record<string, () => Promise<string[]>>> = {
  'cert-manager.test.ts': () =>
    Promise.resolve([kubernetes, `cert-manager ${certManagerModule.version}`]),
  'dockerfile.test.ts': async () => [kubernetes, await buildahVersion()],
  'helm-4.test.ts': () => Promise.resolve([`Helm ${helm4Version}`]),
  'release.test.ts': () =>
    Promise.resolve([
      kubernetes,
      `cosign ${cosignVersion}`,
      `krew ${krewVersion}`,
      `Node.js ${oldestNode}`,
    ]),
  'registries.test.ts': async () => [
    `docker-registry ${await dockerRegistryVersion()}`,
    `distribution ${distribution}`,
    `HAProxy ${await haproxyVersion()}`,
  ],
  'two-nodes.test.ts': kindPrograms,
  'upgrade-from-0.1.0.test.ts': () => Promise.resolve([kubernetes, `Berth ${olderVersion}`]),
  'verification-policies.test.ts': () =>
    Promise.resolve([
      kubernetes,
      `policy-controller ${policyControllerModule.version}`,
      `Kyverno ${kyvernoModule.version}`,
    ]),
}

/** Returns the programs of a test file with their versions, such as `Kubernetes v1.36.3`. */
export async function programsOf(file: string): Promise<string[]> {
  return (await programs[file]?.()) ?? [kubernetes]
}

async function buildahVersion(): Promise<string> {
  const output = await runOk('buildah', ['--version'])
  return output.split(' ').slice(0, 3).join(' ').replace('version ', '')
}

async function dockerRegistryVersion(): Promise<string> {
  const output = await runOk('docker-registry', ['--version'])
  return output.trim().split(' ').at(-1) ?? ''
}
