import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { berth } from '../support/io.ts'

const directory = mkdtempSync(join(tmpdir(), 'berth-policies-'))
let files = 0

function write(text: string): string {
  const file = join(directory, `${(files += 1)}.yaml`)
  writeFileSync(file, text)
  return file
}

const mirrors = `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: m.example, mirror: true }]
`
const table = `${mirrors}fallback:
  - { name: kept, images: ['ghcr.io/org/kept/**'], leave: true }
  - { name: ghcr, images: ['ghcr.io/**'], try: ['m.example/{host}/{path}', 'ghcr.io/{path}'] }
  - { name: hub, images: ['docker.io/**'], try: ['m.example/{host}/{path}', 'docker.io/{path}'] }
`

const clusterPolicy = (entry: string) => `apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: { name: signed }
spec:
  rules:
    - name: check
      verifyImages:
        - ${entry}
`
const imagePolicy = (references: string) => `apiVersion: policies.kyverno.io/v1
kind: ImageValidatingPolicy
metadata: { name: signed }
spec:
  matchImageReferences: ${references}
`
const sigstorePolicy = (globs: string) => `apiVersion: policy.sigstore.dev/v1beta1
kind: ClusterImagePolicy
metadata: { name: signed }
spec:
  images: ${globs}
`
const patternPolicy = (image: string) => `apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: { name: registries }
spec:
  rules:
    - name: registries
      validate:
        message: only our registries
        pattern: { spec: { "=(initContainers)": [{ image: "${image}" }], containers: [{ image: "${image}" }] } }
`

interface Change {
  readonly image: string
  readonly becomes: string
  readonly change: string
  readonly cause: string
  readonly row: string | null
}

interface PolicyAnswer {
  readonly changes: readonly Change[]
  readonly notChecked: readonly { readonly place: string; readonly text: string }[]
  readonly complete: boolean
}

async function check(
  policy: string,
  {
    config = table,
    args = [],
  }: { readonly config?: string; readonly args?: readonly string[] } = {},
) {
  const given = ['check', '--config', write(config), '--policies', write(policy)]
  const { code, stdout, stderr } = await berth([...given, '-o', 'json', ...args])
  const { policies } = JSON.parse(stdout) as { readonly policies: PolicyAnswer }
  return { code, stderr, ...policies }
}

async function render(policy: string, config = table) {
  const given = ['policies', 'render', '--config', write(config), '--policies', write(policy)]
  return await berth(given)
}

const namesOf = (changes: readonly Change[]) =>
  changes.map(({ image, change, becomes }) => `${image} ${change} ${becomes}`)

describe('berth check --policies', () => {
  it.each([
    [
      'a ClusterPolicy',
      clusterPolicy('imageReferences: ["ghcr.io/org/*"]'),
      ['ghcr.io/org/x:x leaves m.example/ghcr.io/org/x:x'],
    ],
    [
      'the deprecated image of a ClusterPolicy',
      clusterPolicy('image: "ghcr.io/org/*"'),
      ['ghcr.io/org/x:x leaves m.example/ghcr.io/org/x:x'],
    ],
    [
      'a ClusterPolicy for Docker Hub, whose names have no library/',
      clusterPolicy('imageReferences: ["docker.io/nginx*"]'),
      ['docker.io/nginx:x leaves m.example/docker.io/library/nginx:x'],
    ],
    [
      'an ImageValidatingPolicy, which compares the text of the pod',
      imagePolicy('[{ glob: "nginx*" }]'),
      ['nginx:x leaves m.example/docker.io/library/nginx:x'],
    ],
    [
      'an expression of an ImageValidatingPolicy',
      imagePolicy(`[{ expression: 'ref.startsWith("ghcr.io/org/") || ref == "quay.io/x"' }]`),
      ['ghcr.io/org/x:x leaves m.example/ghcr.io/org/x:x'],
    ],
    [
      'a ClusterImagePolicy',
      sigstorePolicy('[{ glob: "ghcr.io/org/**" }, { glob: "*" }]'),
      [
        'ghcr.io/org/x:x leaves m.example/ghcr.io/org/x:x',
        'index.docker.io/library/x:x leaves m.example/docker.io/library/x:x',
      ],
    ],
    [
      'the pattern of a validate rule, which refuses other images',
      patternPolicy('ghcr.io/org/* | quay.io/*'),
      [
        'ghcr.io/org/x:x leaves m.example/ghcr.io/org/x:x',
        'ghcr.io/org/x:x leaves m.example/ghcr.io/org/x:x',
      ],
    ],
    [
      'the pattern of a validate rule that forbids a registry',
      patternPolicy('!docker.io/*'),
      [
        'docker.io/a/b:x enters m.example/docker.io/a/b:x',
        'docker.io/a/b:x enters m.example/docker.io/a/b:x',
      ],
    ],
  ])('finds %s that misses mirrored images, and exits with 1', async (_, policy, expected) => {
    const { code, changes } = await check(policy)

    expect([code, namesOf(changes)]).toEqual([1, expected])
  })

  it.each([
    ['matches both names', clusterPolicy('imageReferences: ["*"]')],
    ['matches both names with its wildcards', clusterPolicy('imageReferences: ["*/org/*"]')],
    ['is for images that a row leaves', clusterPolicy('imageReferences: ["ghcr.io/org/kept/*"]')],
    ['is for images without a row', clusterPolicy('imageReferences: ["quay.io/*"]')],
    ['covers all images', imagePolicy('[]')],
    [
      'has the mirrored name too',
      sigstorePolicy('[{ glob: ghcr.io/a/** }, { glob: m.example/ghcr.io/a/** }]'),
    ],
  ])('exits with 0 if the policy %s', async (_, policy) => {
    const { code, changes } = await check(policy)

    expect([code, changes]).toEqual([0, []])
  })

  it('exits with 0 if an image enters a policy under its new name, and shows it', async () => {
    const { code, changes } = await check(
      clusterPolicy('imageReferences: ["m.example/ghcr.io/org/*"]'),
    )

    expect(code).toBe(0)
    expect(namesOf(changes)).toContain('ghcr.io/org/x:x enters m.example/ghcr.io/org/x:x')
  })

  it('finds a tag that a digest replaces in the names of Kyverno', async () => {
    const config = `${mirrors}pin: { tags: ['v*'] }
fallback: [{ name: ghcr, images: ['ghcr.io/**'], try: ['ghcr.io/{path}'] }]
`
    const { changes } = await check(clusterPolicy('imageReferences: ["ghcr.io/org/*:v1"]'), {
      config,
    })

    expect(changes).toMatchObject([
      { image: 'ghcr.io/org/x:v1', change: 'leaves', cause: 'digest' },
    ])
  })

  it('finds examples for rows with conditions, and for wildcards on both sides', async () => {
    const config = `${mirrors}fallback:
  - { name: team, images: ['ghcr.io/*/app'], when: { namespaces: [team] }, try: ['m.example/{name}'] }
`
    const { changes } = await check(clusterPolicy('imageReferences: ["ghcr.io/org/*"]'), { config })

    expect(changes).toMatchObject([
      { row: 'team', image: 'ghcr.io/org/app:x', becomes: 'm.example/app:x', change: 'leaves' },
    ])
  })

  it('compares the images of manifests', async () => {
    const pod = write(
      'apiVersion: v1\nkind: Pod\nmetadata: { name: p }\nspec: { containers: [{ name: a, image: "ghcr.io/org/app:v1" }] }\n',
    )
    const policy = clusterPolicy('imageReferences: ["ghcr.io/org/*"]')
    const { changes } = await check(policy, { args: ['-f', pod] })

    expect(namesOf(changes)).toContain('ghcr.io/org/app:v1 leaves m.example/ghcr.io/org/app:v1')
  })

  it.each([
    [
      imagePolicy(`[{ expression: 'image(ref).registry() == "ghcr.io"' }]`),
      'spec.matchImageReferences[0].expression',
    ],
    [imagePolicy('[{ glob: "ghcr.io/{org" }]'), 'spec.matchImageReferences[0]'],
    [sigstorePolicy('[{ regex: "ghcr.io/.*" }]'), 'spec.images[0].regex'],
    [sigstorePolicy('[{ glob: "ghcr.io/[a]" }]'), 'spec.images[0]'],
    [
      patternPolicy('ghcr.io/* & !x'),
      'spec.rules[0].validate.pattern.spec.=(initContainers)[0].image',
    ],
    [
      'apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: { name: a }\nspec: { validations: [{ expression: "object.spec.containers.all(c, c.image.startsWith(\'a\'))" }] }\n',
      'spec.validations[0].expression',
    ],
    [
      'apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: { name: a }\nspec: { rules: [{ name: a, validate: { deny: { conditions: { any: [{ key: "{{ images.containers.*.registry }}" }] } } } }] }\n',
      'spec.rules[0].validate',
    ],
  ])('names what it does not check: %#', async (policy, place) => {
    const { notChecked } = await check(policy)

    expect(notChecked.map((part) => part.place)).toContain(place)
  })

  it('prints one line for each gap, and the rule to fix it with', async () => {
    const file = write(clusterPolicy('imageReferences: ["ghcr.io/org/*"]'))
    const { stdout } = await berth(['check', '--config', write(table), '--policies', file])

    expect(stdout).toContain(
      `${file}:1: ClusterPolicy signed, spec.rules[0].verifyImages[0]: the image is not verified under its new name: for example ghcr.io/org/x:x → m.example/ghcr.io/org/x:x (row ghcr)`,
    )
    expect(stdout).toContain('signatures are not mirrored')
  })

  it('annotates the policy on GitHub', async () => {
    const file = write(clusterPolicy('imageReferences: ["ghcr.io/org/*"]'))
    const given = ['check', '--config', write(table), '--policies', file, '-o', 'github']
    const { stdout } = await berth(given)

    expect(stdout).toContain(`::error file=${file},line=1,col=1,title=berth policy-gap::`)
  })

  it('rejects images without policies', async () => {
    const { code, stderr } = await berth(['check', '--config', write(table), '-f', write('')])

    expect([code, stderr]).toEqual([2, expect.stringContaining('add --policies')])
  })

  it('stops the search for images at a limit, and says so', async () => {
    const rows = Array.from(
      { length: 2_000 },
      (_, index) =>
        `  - { name: r${index}, images: ['ghcr.io/*/*/a*${index}'], try: ['m.example/{path}'] }`,
    )
    const globs = Array.from({ length: 600 }, (_, index) => `ghcr.io/*${index}*a*b*c*`)
    const config = `${mirrors}fallback:\n${rows.join('\n')}\n`
    const { complete } = await check(clusterPolicy(`imageReferences: ${JSON.stringify(globs)}`), {
      config,
    })

    expect(complete).toBe(false)
  }, 60_000)
})

/** Two rows whose images can have the same name on the mirror. */
const sameNames = `fallback:
  - { name: ghcr, images: ['ghcr.io/**'], try: ['m.example/{path}'] }
  - { name: quay, images: ['quay.io/**'], try: ['m.example/{path}'] }
`

describe('berth policies render', () => {
  it.each([
    [
      'a ClusterPolicy, with the images that it skips',
      clusterPolicy(
        '{ imageReferences: ["ghcr.io/org/*"], skipImageReferences: ["ghcr.io/org/s*"] }',
      ),
      ['"m.example/ghcr.io/org/*"', '"m.example/ghcr.io/org/s*"'],
    ],
    [
      'a ClusterPolicy for official images',
      clusterPolicy('imageReferences: ["docker.io/nginx:*"]'),
      ['"m.example/docker.io/nginx:*"', '"m.example/docker.io/library/nginx:*"'],
    ],
    [
      'an ImageValidatingPolicy',
      imagePolicy('[{ glob: "ghcr.io/{a,b/c}/*" }]'),
      ['{ glob: "m.example/ghcr.io/a/*" }', '{ glob: "m.example/ghcr.io/b/c/*" }'],
    ],
    [
      'an expression',
      imagePolicy(`[{ expression: 'ref.startsWith("ghcr.io/a/")' }]`),
      ['{ glob: "m.example/ghcr.io/a/*" }'],
    ],
    [
      'a ClusterImagePolicy',
      sigstorePolicy('[{ glob: "ghcr.io/org/**" }]'),
      ['{ glob: "m.example/ghcr.io/org/**" }'],
    ],
    [
      'a pattern',
      patternPolicy('ghcr.io/* | quay.io/*'),
      ['ghcr.io/* | quay.io/* | m.example/ghcr.io/*'],
    ],
  ])('adds the mirrored names to %s, and leaves no gap', async (_, policy, added) => {
    const { code, stdout } = await render(policy)

    expect(code).toBe(0)
    for (const text of added) expect(stdout).toContain(text)
    const { code: after } = await check(stdout)
    expect(after).toBe(0)
  })

  it('keeps comments and every other line', async () => {
    const policy = `# Ours.
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: { name: signed } # keep
spec:
  rules:
    - name: check
      verifyImages:
        - imageReferences:
            - ghcr.io/org/* # signed by us
          attestors: []
`
    const { stdout } = await render(policy)

    expect(stdout).toBe(
      policy.replace(
        '# signed by us\n',
        '# signed by us\n            - "m.example/ghcr.io/org/*"\n',
      ),
    )
  })

  it('changes nothing if the policy covers both names', async () => {
    const policy = clusterPolicy('imageReferences: ["*"]')
    const { code, stdout } = await render(policy)

    expect([code, stdout]).toEqual([0, policy])
  })

  it('adds globs without tags for images that get a digest', async () => {
    const config = `${table}pin: { tags: ['v*'] }\n`
    const { code, stdout } = await render(
      clusterPolicy('imageReferences: ["ghcr.io/org/app:v1"]'),
      config,
    )

    expect(code).toBe(0)
    expect(stdout).toContain('m.example/ghcr.io/org/app:v1,')
    expect(stdout).toContain('"m.example/ghcr.io/org/app@*"')
  })

  it.each([
    [
      'skips no digests of an image whose tag is skipped',
      clusterPolicy('{ imageReferences: ["*"], skipImageReferences: ["ghcr.io/org/app:v1"] }'),
      `${table}pin: { tags: ['v*'] }\n`,
      'skipImageReferences: ["ghcr.io/org/app:v1", m.example/ghcr.io/org/app:v1] }',
    ],
    [
      'allows no other tags of an image with an allowed tag',
      patternPolicy('ghcr.io/org/app:v1'),
      `${table}pin: { tags: ['v*'] }\n`,
      'ghcr.io/org/app:v1 | m.example/ghcr.io/org/app:v1"',
    ],
    [
      'skips no image of another registry that has the same name on the mirror',
      clusterPolicy('{ imageReferences: ["*"], skipImageReferences: ["ghcr.io/org/*"] }'),
      `${mirrors}${sameNames}`,
      'skipImageReferences: ["ghcr.io/org/*"] }',
    ],
    [
      'allows no image of another registry that has the same name on the mirror',
      patternPolicy('ghcr.io/org/*'),
      `${mirrors}${sameNames}`,
      'ghcr.io/org/*"',
    ],
  ])('%s', async (_, policy, config, expected) => {
    const { stdout } = await render(policy, config)

    expect(stdout).toContain(expected)
  })

  it('names the image and exits with 1 if no glob can be written', async () => {
    const config = `${mirrors}fallback: [{ name: flat, images: ['ghcr.io/**'], try: ['m.example/{flat}'] }]\n`
    const { code, stderr } = await render(
      clusterPolicy('imageReferences: ["ghcr.io/org/*"]'),
      config,
    )

    expect(code).toBe(1)
    expect(stderr).toContain('ghcr.io/org/x:x → m.example/org-x:x (row flat)')
  })
})
