import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { runOk } from '../harness/command.ts'
import { berthMain, repository } from '../harness/paths.ts'
import { buildHelm4 } from './helm-4-program.ts'

/** Helm 4 with the plugin of deploy/helm-plugin as its post-renderer. */
const directory = mkdtempSync(join(tmpdir(), 'berth-helm-4-'))
const chart = join(directory, 'chart')
let helm: string

const container = 'containers: [{ name: app, image: {{ .Values.image }} }]   # kept'

beforeAll(async () => {
  helm = await buildHelm4()
  mkdirSync(join(chart, 'templates'), { recursive: true })
  writeFileSync(join(chart, 'Chart.yaml'), 'apiVersion: v2\nname: web\nversion: 1.0.0\n')
  writeFileSync(join(chart, 'values.yaml'), 'image: docker.io/library/app:1\n')
  const pod = (name: string, rest = '') =>
    `apiVersion: v1\nkind: Pod\nmetadata:\n  name: ${name}\n${rest}spec:\n  ${container}\n`
  writeFileSync(join(chart, 'templates/web.yaml'), pod('web'))
  const hook = '  annotations: { helm.sh/hook: pre-install }\n'
  writeFileSync(join(chart, 'templates/hook.yaml'), pod('hook', hook))
  writeFileSync(
    join(directory, 'berth.yaml'),
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: mirror.example, mirror: true }]
fallback: [{ name: hub, images: ['docker.io/**'], try: ['mirror.example/{path}'] }]
`,
  )
  const berth = join(directory, 'berth')
  writeFileSync(berth, `#!/bin/sh\nexec '${process.execPath}' '${berthMain}' "$@"\n`)
  chmodSync(berth, 0o755)
  await runHelm(['plugin', 'install', join(repository, 'deploy/helm-plugin')])
})

afterAll(() => rmSync(directory, { recursive: true, force: true }))

function runHelm(args: readonly string[]): Promise<string> {
  const env = {
    HELM_CACHE_HOME: join(directory, 'cache'),
    HELM_CONFIG_HOME: join(directory, 'config'),
    HELM_DATA_HOME: join(directory, 'data'),
    BERTH: join(directory, 'berth'),
    BERTH_CONFIG: join(directory, 'berth.yaml'),
  }
  return runOk(helm, args, { env })
}

test('the plugin rewrites the images of a chart, and passes on its arguments', async () => {
  const options = ['--post-renderer', 'berth', '--post-renderer-args=--no-probe']

  const rendered = await runHelm(['template', 'release', chart, ...options])

  const images = parseAllDocuments(rendered).map((document) => [
    document.getIn(['metadata', 'name']),
    document.getIn(['spec', 'containers', 0, 'image']),
  ])
  expect(images).toEqual(
    expect.arrayContaining([
      ['web', 'mirror.example/library/app:1'],
      ['hook', 'mirror.example/library/app:1'],
    ]),
  )
})
