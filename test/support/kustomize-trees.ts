/** Generated kustomizations: bases, overlays, components, patches, and entries of `images:` in all shapes. */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { stringify } from 'yaml'
import { fc } from './fast-check.ts'
import { digestA, digestB } from './manifest-answers.ts'

/** Maps every image: to mirrors, to another tag and to another name. */
export const kustomizeConfig = `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: 'anubis:32000', mirror: true }
  - { host: 'localhost:5000', mirror: true }
fallback:
  - { name: left, images: ['docker.io/library/left'], leave: true }
  - { name: tags, images: ['ghcr.io/acme/tool'], tags: { latest: '9' }, try: ['anubis:32000/{host}/{path}'] }
  - { name: quay, images: ['quay.io/**'], try: ['localhost:5000/{path}'] }
  - { name: all, images: ['**'], try: ['anubis:32000/{host}/{path}'] }
`

const name = fc.constantFrom(
  'nginx',
  'left',
  'controller',
  'acme/app',
  'ghcr.io/acme/tool',
  'quay.io/acme/app',
  'registry.example:5000/team/app',
  'anubis:32000/docker.io/library/nginx',
)
const tag = fc.constantFrom('1', '2', 'latest', 'v1.2.3')
const digest = fc.constantFrom(digestA, digestB)

const image = fc
  .tuple(name, fc.option(tag), fc.option(digest, { freq: 5 }))
  .map(([each, ofTag, ofDigest]) =>
    [each, ofTag === null ? '' : `:${ofTag}`, ofDigest === null ? '' : `@${ofDigest}`].join(''),
  )

const entry = fc.oneof(
  fc.record({ name, newName: name, newTag: tag }),
  fc.record({ name, newTag: tag }),
  fc.record({ name, newName: name }),
  fc.record({ name, digest }),
  fc.record({ name, newName: name, newTag: tag, digest }),
)

/** Indexes of other kustomizations. Only earlier ones exist. */
const indexes = fc.uniqueArray(fc.nat({ max: 4 }), { maxLength: 2 })

const kustomization = fc.record({
  images: fc.array(image, { maxLength: 2 }),
  custom: fc.option(image, { freq: 3 }),
  entries: fc.array(entry, { maxLength: 3 }),
  bases: indexes,
  components: indexes,
  patch: fc.option(fc.tuple(fc.constantFrom('file', 'inline', 'json'), image)),
  namespace: fc.option(fc.constantFrom('one', 'two')),
  hasKind: fc.boolean(),
  fileName: fc.constantFrom('kustomization.yaml', 'kustomization.yml', 'Kustomization'),
  style: fc.record({
    collectionStyle: fc.constantFrom('any', 'flow'),
    defaultStringType: fc.constantFrom('PLAIN', 'QUOTE_DOUBLE', 'QUOTE_SINGLE'),
    indentSeq: fc.boolean(),
  }),
})

type GeneratedKustomization = typeof kustomization extends fc.Arbitrary<infer Value> ? Value : never

const component = fc.record({ entries: fc.array(entry, { minLength: 1, maxLength: 2 }) })

export const kustomizeTree = fc.record({
  kustomizations: fc.array(kustomization, { minLength: 1, maxLength: 5 }),
  components: fc.array(component, { maxLength: 2 }),
})

export type KustomizeTree = typeof kustomizeTree extends fc.Arbitrary<infer Value> ? Value : never

/** Writes a tree into a new directory; returns it with the directories of the kustomizations, the bases first. */
export function writeKustomizeTree({ kustomizations, components }: KustomizeTree): {
  readonly root: string
  readonly directories: readonly string[]
} {
  const root = mkdtempSync(join(tmpdir(), 'berth-test-'))
  for (const [index, { entries }] of components.entries())
    write(
      join(root, `c${index}/kustomization.yaml`),
      stringify({
        apiVersion: 'kustomize.config.k8s.io/v1alpha1',
        kind: 'Component',
        images: entries,
      }),
    )
  const directories = kustomizations.map((each, index) => {
    const directory = join(root, `d${index}`)
    writeKustomization(directory, each, { index, components: components.length })
    return directory
  })
  return { root, directories }
}

function writeKustomization(
  directory: string,
  given: GeneratedKustomization,
  { index, components }: { readonly index: number; readonly components: number },
): void {
  const own = `web${index}`
  const objects = [
    ...given.images.map((each, position) => deployment(`${own}-${position}`, each)),
    ...(given.custom === null ? [] : [customResource(own, given.custom)]),
  ]
  if (objects.length === 0)
    objects.push({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: own } })
  write(join(directory, 'objects.yaml'), objects.map((object) => stringify(object)).join('---\n'))
  const [kind, patched] =
    given.images.length === 0 || given.patch === null ? ['none', ''] : given.patch
  const strategic = stringify(deployment(`${own}-0`, patched))
  if (kind === 'file') write(join(directory, 'patch.yaml'), strategic)
  const patches = {
    none: [],
    file: [{ path: 'patch.yaml' }],
    inline: [{ patch: strategic }],
    json: [
      {
        target: { kind: 'Deployment', name: `${own}-0` },
        patch: JSON.stringify([
          { op: 'replace', path: '/spec/template/spec/containers/0/image', value: patched },
        ]),
      },
    ],
  }[kind]
  const value = {
    ...(given.hasKind
      ? { apiVersion: 'kustomize.config.k8s.io/v1beta1', kind: 'Kustomization' }
      : {}),
    // The names of a base that is read twice must differ.
    namePrefix: `p${index}-`,
    ...(given.namespace === null ? {} : { namespace: given.namespace }),
    resources: [
      'objects.yaml',
      ...given.bases.filter((base) => base < index).map((base) => `../d${base}`),
    ],
    components: given.components.filter((each) => each < components).map((each) => `../c${each}`),
    patches,
    images: given.entries,
  }
  const members = Object.entries(value).filter(
    ([, each]) => !Array.isArray(each) || each.length > 0,
  )
  write(
    join(directory, given.fileName),
    stringify(Object.fromEntries(members), given.style as object),
  )
}

function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
}

function deployment(own: string, image: string): object {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: own },
    spec: { template: { spec: { containers: [{ name: 'web', image }] } } },
  }
}

/** Has containers, which kustomize finds, and which Berth does not know. */
function customResource(own: string, image: string): object {
  return {
    apiVersion: 'acme.example/v1',
    kind: 'Batch',
    metadata: { name: own },
    spec: { jobs: [{ containers: [{ name: 'c', image }] }] },
  }
}
