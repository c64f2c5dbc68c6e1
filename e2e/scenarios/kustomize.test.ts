import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { expect, test } from 'vitest'
import { fc, runs } from '../../test/support/fast-check.ts'
import { berth } from '../../test/support/io.ts'
import {
  kustomizeConfig,
  type KustomizeTree,
  kustomizeTree,
  writeKustomizeTree,
} from '../../test/support/kustomize-trees.ts'
import { kustomizeOk } from '../harness/kustomize.ts'

/** `berth rewrite` on kustomizations, compared with what the kustomize program builds. */

const flags = ['--no-probe', '--images-only', '--config']

test('kustomize builds each image as the table rewrites it', async () => {
  let changed = 0
  let refused = 0
  await fc.assert(
    fc.asyncProperty(kustomizeTree, async (tree) => {
      const { root, directories } = writeKustomizeTree(tree)
      const config = join(root, 'config', 'berth.yaml')
      mkdirSync(dirname(config))
      writeFileSync(config, kustomizeConfig)
      const build = () =>
        Promise.all(directories.map((each) => kustomizeOk(['build', each]).then(imagesOf)))

      const before = await build()
      const isTop = (index: number) =>
        !tree.kustomizations.some(({ bases }, other) => other > index && bases.includes(index))
      const trees = [
        '-R',
        ...directories.flatMap((each) => ['-f', each]),
        ...componentsOf(root, tree),
      ]
      const read = await readImages(trees, root)
      const { code, stderr } = await berth(['rewrite', ...trees, '--in-place', ...flags, config])
      const after = await build()

      const mapped = await Promise.all(before.map((images) => mapImages(images, config)))
      if (code === 1) {
        refused++
        expect(stderr).toContain('are not rewritten')
      }
      for (const [index, images] of after.entries())
        for (const [position, image] of images.entries()) {
          // A base that a kustomization changes, an inline patch and a custom resource can keep the image.
          const allowed = [mapped[index]?.[position], before[index]?.[position]]
          expect(allowed).toContain(image)
          if (image !== before[index]?.[position]) changed++
        }
      const isPlain = tree.kustomizations.every(
        ({ patch, custom }) => custom === null && (patch === null || patch[0] === 'file'),
      )
      const deployed = before.flatMap((images, index) => (isTop(index) ? images : []))
      // Entries of a component that is not used may apply to a base elsewhere. Custom resources are read if an entry names them.
      const isRead = (image: string) => read.has(image)
      if (tree.kustomizations.every(({ custom }) => custom === null))
        expect(deployed.filter((image) => !isRead(image))).toEqual([])
      if (isPlain && tree.components.length === 0)
        expect([...read].toSorted()).toEqual([...new Set(deployed)].toSorted())
      if (code === 0 && isPlain)
        for (const [index, images] of after.entries())
          if (isTop(index)) expect({ index, images }).toEqual({ index, images: mapped[index] })
      const again = await berth(['rewrite', ...trees, '--check', ...flags, config])
      if (code === 0) expect(again).toMatchObject({ code: 0, stdout: '' })
      rmSync(root, { recursive: true })
    }),
    runs(10),
  )
  expect(changed).toBeGreaterThan(10)
  expect(refused).toBeLessThan(5)
})

test('kustomize builds the mapped images from the overlays of --kustomize-out', async () => {
  const { root, directories } = writeKustomizeTree({
    kustomizations: [
      kustomizationOf({ images: ['nginx:1', 'quay.io/acme/app', 'controller'] }),
      kustomizationOf({ bases: [0], entries: [{ name: 'controller', newName: 'acme/app' }] }),
    ],
    components: [],
  })
  const config = join(root, 'config', 'berth.yaml')
  mkdirSync(dirname(config))
  writeFileSync(config, kustomizeConfig)
  const trees = ['-R', ...directories.flatMap((each) => ['-f', each])]
  const top = directories.at(-1) ?? ''

  const result = await berth([
    'rewrite',
    ...trees,
    '--kustomize-out',
    join(root, 'out'),
    ...flags,
    config,
  ])

  expect(result).toMatchObject({ code: 0, stderr: '' })
  const before = imagesOf(await kustomizeOk(['build', top]))
  const after = imagesOf(await kustomizeOk(['build', join(root, 'out')]))
  expect(before).toContain('acme/app')
  expect(after).toEqual(await mapImages(before, config))
  rmSync(root, { recursive: true })
})

type Kustomization = KustomizeTree['kustomizations'][number]

function kustomizationOf(given: Partial<Kustomization>): Kustomization {
  return {
    images: [],
    custom: null,
    entries: [],
    bases: [],
    components: [],
    patch: null,
    namespace: null,
    hasKind: true,
    fileName: 'kustomization.yaml',
    style: { collectionStyle: 'any', defaultStringType: 'PLAIN', indentSeq: true },
    ...given,
  }
}

/** Returns the images that commands with `-f` read. */
async function readImages(trees: readonly string[], root: string): Promise<Set<string>> {
  const config = (name: string, row: string) => {
    const file = join(root, 'config', name)
    writeFileSync(
      file,
      `apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\nregistries: [{ host: m.example, mirror: true }]\nfallback: [${row}]\n`,
    )
    return file
  }
  const none = config('none.yaml', '{ name: none, images: [x.example/x], try: [m.example/x] }')
  const all = config('all.yaml', '{ name: all, images: ["**"], try: ["m.example/{host}/{path}"] }')
  const { stdout } = await berth(['diff', none, all, ...trees, '-o', 'json'])
  return new Set((JSON.parse(stdout) as { image: string }[]).map(({ image }) => image))
}

function componentsOf(
  root: string,
  { components }: { readonly components: readonly unknown[] },
): string[] {
  return components.flatMap((_, index) => ['-f', join(root, `c${index}`)])
}

/** Returns the images that kustomize prints, in order. */
function imagesOf(text: string): string[] {
  return parseAllDocuments(text).flatMap((document) => findImages(document.toJS()))
}

function findImages(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(findImages)
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, each]) =>
    key === 'image' && typeof each === 'string' ? [each] : findImages(each),
  )
}

async function mapImages(images: readonly string[], config: string): Promise<string[]> {
  const pods = images.map((image) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p' },
    spec: { containers: [{ name: 'c', image }] },
  }))
  const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: pods })
  const { stdout } = await berth(['rewrite', '-f', '-', ...flags, config], list)
  return imagesOf(stdout)
}
