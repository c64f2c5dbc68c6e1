/** Example tables, the files rendered from them, and loader cases for those files. */
import { readConfig } from '../../src/config/load.ts'
import type { Config } from '../../src/config/config.ts'
import { renderNodes } from '../../src/nodes/render/render.ts'
import type { TargetName } from '../../src/nodes/render/targets.ts'
import { readVersion } from '../../src/nodes/render/target-version.ts'
import type { Loader, LoaderCase } from './read/loader-cases.ts'

const head = 'apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\n'
const registries = `registries:
  - { host: 'anubis:32000', endpoint: http://anubis:32000, mirror: true }
  - { host: harbor.lan, mirror: true }
  - { host: ghcr.io }
  - { host: docker.io }
`

/** Each row of these tables can be expressed by at least one target. */
export const tables: Readonly<Record<string, string>> = {
  anubis: `${head}${registries}fallback:
  - { name: local-builds, images: ['anubis:32000/**'], try: ['anubis:32000/{path}', 'ghcr.io/your-org/{path}', 'docker.io/{path}'] }
  - { name: docker-hub, images: ['docker.io/**'], try: ['anubis:32000/{path}', 'docker.io/{path}'] }
  - { name: ghcr, images: ['ghcr.io/**'], try: ['anubis:32000/{path}', 'ghcr.io/{path}'] }
`,
  layout: `${head}${registries}fallback:
  - { name: docker-hub, images: ['docker.io/**'], try: ['anubis:32000/{host}/{path}', 'harbor.lan/proxy/{path}', 'docker.io/{path}'] }
  - { name: ghcr, images: ['ghcr.io/**'], try: ['anubis:32000/{host}/{path}', 'ghcr.io/{path}'] }
  - { name: closed, images: ['quay.io/**'], try: ['anubis:32000/{host}/{path}'], otherwise: deny }
`,
  everything: `${head}${registries}fallback:
  - { name: all, images: ['**'], try: ['anubis:32000/{path}', '{host}/{path}'] }
`,
  elsewhere: `${head}registries:
  - { host: 'localhost:5000', endpoint: 'http://registry.registry.svc:5000', nodeEndpoint: 'http://10.0.0.5:5000', mirror: true }
fallback:
  - { name: hub, images: ['docker.io/**'], try: ['localhost:5000/{host}/{path}', 'docker.io/{path}'] }
`,
  finer: `${head}${registries}fallback:
  - { name: app, images: [ghcr.io/acme/app], try: ['anubis:32000/builds/{name}', 'ghcr.io/{path}'] }
  - { name: acme, images: ['ghcr.io/acme/**'], try: ['harbor.lan/{path}', 'ghcr.io/{path}'] }
  - { name: open, images: ['docker.io/library/*'], try: ['docker.io/{path}'] }
  - { name: hub, images: ['docker.io/**'], try: ['anubis:32000/{host}/{path}', 'docker.io/{path}'] }
  - { name: subdomains, images: ['*.example.com/**'], try: ['anubis:32000/all/{path}', '{host}/{path}'] }
`,
}

export function configOf(text: string): Config {
  const result = readConfig(text, '.')
  if (!result.ok) throw new Error(result.problems.map(({ message }) => message).join('\n'))
  return result.config
}

const images = [
  'anubis:32000/ushadow-backend:1',
  'docker.io/library/nginx:1',
  'docker.io/acme/app:1',
  'ghcr.io/acme/app:1',
  'ghcr.io/acme/other/deep:1',
  'ghcr.io/rclone/rclone:1',
  'quay.io/acme/app:1',
  'a.example.com/x/y:1',
  'localhost:5000/app:1',
] as const

const byTarget: readonly (readonly [TargetName, readonly Loader[]])[] = [
  ['containerd', ['containerd1', 'containerd2']],
  ['k3s', ['k3s']],
  ['crio', ['crio']],
]

export function filesFor(
  config: Config,
  target: TargetName,
  airGap = false,
): Record<string, string> {
  const { files } = renderNodes(config, target, { airGap, digestOnly: false, version: null })
  return Object.fromEntries(files.map(({ path, content }) => [path, content]))
}

/** Returns a case for each table, target and image; for containerd, for each registry. */
export function renderedCases(): LoaderCase[] {
  return Object.entries(tables).flatMap(([name, text]) =>
    [false, true].flatMap((airGap) =>
      byTarget.flatMap(([target, loaders]) => {
        const files = filesFor(configOf(text), target, airGap)
        const isK3s = target === 'k3s'
        const asked =
          target === 'containerd'
            ? [...new Set(images.map((each) => each.split('/', 1)[0] ?? ''))]
            : images
        return loaders.flatMap((loader) =>
          asked
            // K3s' loader does not know the air-gap flag, which K3s itself evaluates. Go does not use a proxy for loopback.
            .filter((ask) => !isK3s || (!airGap && !ask.startsWith('localhost')))
            .map((ask) => ({
              name: `${name}${airGap ? ' in an air gap' : ''}: ${ask}`,
              loader,
              files,
              ask,
            })),
        )
      }),
    ),
  )
}

/** Returns a case for each table and host that Talos' own loader is asked about, in both forms of its configuration. */
export function talosCases(): LoaderCase[] {
  const hosts = [...new Set(images.map((each) => each.split('/', 1)[0] ?? ''))]
  return Object.entries(tables).flatMap(([name, text]) =>
    ['1.11', '1.13'].flatMap((version) =>
      [false, true].flatMap((airGap) => {
        const options = { airGap, digestOnly: false, version: readVersion(version) }
        const { files } = renderNodes(configOf(text), 'talos', options)
        const contents = Object.fromEntries(files.map(({ path, content }) => [path, content]))
        return hosts.map((ask) => ({
          name: `${name} for ${version}${airGap ? ' in an air gap' : ''}: ${ask}`,
          loader: 'talos' as const,
          files: contents,
          ask,
        }))
      }),
    ),
  )
}

/** Returns the files of each table and target. The recorded answers are about these files. */
export function renderedFiles(): Record<string, Record<string, string>> {
  const targets = [
    'containerd',
    'microk8s',
    'k3s',
    'rke2',
    'crio',
    'openshift',
    'talos',
    'bottlerocket',
    'registry-proxy',
  ] as const
  const entries = Object.entries(tables).flatMap(([name, text]) =>
    [false, true].flatMap((airGap) =>
      targets.map((target) => {
        const key = `${name} ${target}${airGap ? ' in an air gap' : ''}`
        return [key, filesFor(configOf(text), target, airGap)] as const
      }),
    ),
  )
  return Object.fromEntries(entries)
}
