import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, it } from 'vitest'
import { berth } from '../../support/io.ts'

const pod = (image: string, more = '') =>
  `apiVersion: v1\nkind: Pod\nmetadata: { name: p }\nspec: { containers: [{ name: c, image: "${image}"${more} }] }\n`

/** Returns the images that `berth diff` reads from files, with what uses them, and its messages. */
async function read(files: Readonly<Record<string, string>>, ...args: readonly string[]) {
  const directory = mkdtempSync(join(tmpdir(), 'berth-test-'))
  const put = (name: string, text: string) => {
    const file = join(directory, name)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
    return file
  }
  for (const [name, text] of Object.entries(files)) put(name, text)
  const config = (name: string, rows: string) =>
    put(
      name,
      `apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\nregistries: [{ host: m.example, mirror: true }]\nfallback: ${rows}\n`,
    )
  const none = config('none.yaml', '[{ name: none, images: [x.example/x], try: [m.example/x] }]')
  const all = config('all.yaml', '[{ name: all, images: ["**"], try: ["m.example/{path}"] }]')
  const given =
    args.length === 0 ? [join(directory, 'app')] : args.map((arg) => join(directory, arg))
  const { stdout, stderr } = await berth([
    'diff',
    none,
    all,
    '-R',
    ...given.flatMap((each) => ['-f', each]),
    '-o',
    'json',
  ])
  const differences = JSON.parse(stdout) as { image: string; namespace: string; by: string }[]
  return {
    images: differences.map(({ image }) => image),
    uses: differences.map(({ namespace, by }) => `${namespace} ${by.replace(directory, '')}`),
    stderr: stderr.replaceAll(directory, ''),
  }
}

it('reads the images that kustomize builds, and not those in the files', async () => {
  const { images, uses } = await read({
    'app/base/pod.yaml': pod('server:dummy'),
    'app/base/kustomization.yaml':
      'resources: [pod.yaml]\nimages: [{ name: server, newTag: "1" }]\n',
    'app/prod/kustomization.yaml':
      'resources: [../base]\nnamespace: prod\nimages: [{ name: server, newName: acme/server, newTag: "2" }]\n',
    'app/other.yaml': pod('other:1'),
  })

  expect(images).toEqual(['other:1', 'acme/server:2'])
  expect(uses).toEqual([
    'default /app/other.yaml: Pod p',
    'prod /app/prod/kustomization.yaml: Pod p',
  ])
})

it('reads bases outside of the given directory', async () => {
  const { images } = await read(
    {
      'base/pod.yaml': pod('server:dummy'),
      'base/kustomization.yaml': 'resources: [pod.yaml]\n',
      'prod/kustomization.yaml': 'resources: [../base]\nimages: [{ name: server, newTag: "2" }]\n',
    },
    'prod',
  )

  expect(images).toEqual(['server:2'])
})

it('applies patches, and leaves out images that are never pulled', async () => {
  const patch = (image: string) =>
    `apiVersion: v1\nkind: Pod\nmetadata: { name: p }\nspec: { containers: [{ name: c, image: "${image}" }] }\n`
  const { images } = await read({
    'app/one/pod.yaml': pod('one:dummy'),
    'app/one/patch.yaml': patch('one:1'),
    'app/one/kustomization.yaml': 'resources: [pod.yaml]\npatches: [{ path: patch.yaml }]\n',
    'app/two/pod.yaml': pod('two:dummy'),
    'app/two/kustomization.yaml': `resources: [pod.yaml]\npatches:\n- target: { kind: Pod, name: p }\n  patch: '[{ "op": "replace", "path": "/spec/containers/0/image", "value": "two:1" }]'\n`,
    'app/never/pod.yaml': pod('never:1', ', imagePullPolicy: Never'),
    'app/never/kustomization.yaml': 'resources: [pod.yaml]\n',
  })

  expect(images.toSorted()).toEqual(['one:1', 'two:1'])
})

it('names what cannot be followed, and reads the entries for it', async () => {
  const { images, stderr } = await read({
    'app/kustomization.yaml':
      'resources: ["https://example.com/base.yaml"]\nimages: [{ name: remote, newTag: "1" }, { name: other, newName: x }]\n',
  })

  expect(images).toEqual(['remote:1'])
  expect(stderr).toContain(
    '/app/kustomization.yaml: cannot follow https://example.com/base.yaml: their images are missing',
  )
})
