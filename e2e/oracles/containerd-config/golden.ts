/**
 * `npm run oracle:containerd-config`: writes test/fixtures/nodes/containerd-config.json, which is what each version of containerd
 * asks with the configurations of test/nodes/read/containerd-config-cases.ts. Needs root, Go and Linux.
 */
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import {
  type ConfigAnswer,
  configCases,
  containerdVersions,
} from '../../../test/nodes/read/containerd-config-cases.ts'
import { buildContainerd } from '../../harness/containerd-program.ts'
import { askContainerd, startRecorder } from './run-containerd.ts'

const fixture = fileURLToPath(
  new URL('../../../test/fixtures/nodes/containerd-config.json', import.meta.url),
)
const recorder = await startRecorder()
const answers: Record<string, Record<string, ConfigAnswer>> = {}
for (const version of containerdVersions) {
  const program = await buildContainerd(version)
  const ofVersion: Record<string, ConfigAnswer> = {}
  for (const each of configCases)
    ofVersion[each.name] = await askContainerd(program, each, recorder)
  answers[version] = ofVersion
  console.log(`${version}: ${configCases.length} answers`)
}
await recorder.close()
writeFileSync(fixture, `${JSON.stringify(answers, null, 2)}\n`)
