/** Globs and images for the comparison with the policy engines: hand-picked ones, and generated ones. */

export type PolicyEngineName = 'kyverno' | 'gobwas' | 'sigstore'

export interface GlobCase {
  readonly engine: PolicyEngineName
  readonly glob: string
  readonly image: string
}

const digest = `sha256:${'ab'.repeat(32)}`

const images = [
  'nginx',
  'nginx:1.29',
  'library/nginx:1',
  'docker.io/nginx',
  'docker.io/library/nginx:1.29',
  'index.docker.io/library/nginx:1.29',
  'docker.io/org/app:v1',
  'org/app:v1',
  'ghcr.io/org/app:v1',
  'ghcr.io/org/app',
  'ghcr.io/org/team/app:v1.2.3',
  'ghcr.io/organization/app:v1',
  `ghcr.io/org/app@${digest}`,
  `ghcr.io/org/app:v1@${digest}`,
  `nginx:1.29@${digest}`,
  'localhost:5000/org/app:v1',
  'localhost/org/app:v1',
  'anubis:32000/ghcr.io/org/app:v1',
  'mirror.example/ghcr.io/org/app:v1',
  'Registry/org/app',
  'foo_bar/app',
]

const globs: Readonly<Record<PolicyEngineName, readonly string[]>> = {
  kyverno: [
    '*',
    'ghcr.io/org/*',
    'ghcr.io/org*',
    'ghcr.io/*/app*',
    'ghcr.io/org/app:v?',
    'docker.io/*',
    'docker.io/nginx*',
    'docker.io/library/nginx*',
    'nginx*',
    '*/org/*',
    '*:v1',
    '*@sha256:*',
    'ghcr.io/org/app',
    'ghcr.io/[o]rg/*',
    '?*/org/?*',
    '',
    '**',
  ],
  gobwas: [
    '*',
    '**',
    'ghcr.io/*',
    'ghcr.io/org/app:v?',
    'ghcr.io/{org,other}/*',
    'ghcr.io/{org/app,other}:*',
    'ghcr.io/{or{g,x},other}/*',
    '[gn]*',
    '[!g]*',
    '[a-g]*',
    'nginx*',
    'docker.io/library/nginx*',
    'ghcr.io/org/app\\:v1',
    'ghcr.io/{org',
    'ghcr.io/org}',
    'ghcr.io/[org/*',
    '{,docker.io/}nginx*',
    '{nginx,docker.io/library/nginx}*',
    'ghcr.io/org/app,x',
    '',
  ],
  sigstore: [
    '*',
    '**',
    '*/*',
    'ghcr.io/**',
    'ghcr.io/*/*',
    'ghcr.io/org/*',
    'ghcr.io/org/**',
    'ghcr.io/org/app*',
    'index.docker.io/library/*',
    'index.docker.io/**',
    'docker.io/**',
    '**/org/**',
    '**@sha256:**',
    '***',
    'ghcr?io/org/*',
    'ghcr.io/[o]rg/*',
    'ghcr.io/org/app:v1',
    'nginx*',
  ],
}

/** Characters that generated globs and images share, so that they often match. */
const parts: Readonly<Record<PolicyEngineName, readonly string[]>> = {
  kyverno: ['a', 'b', '/', ':', '*', '?', 'ghcr.io/', 'docker.io/', 'a/b', 'library/'],
  gobwas: [
    'a',
    'b',
    '/',
    ':',
    '*',
    '**',
    '?',
    '[ab]',
    '[!a]',
    '[a-c]',
    '{a,b}',
    '{a/b,*}',
    'ghcr.io/',
  ],
  sigstore: ['a', 'b', '/', ':', '*', '**', 'ghcr.io/', 'index.docker.io/', 'library/', 'a/b'],
}

const imageParts = ['a', 'b', 'ab', 'library', 'c']
const hosts = ['', '', 'ghcr.io/', 'docker.io/', 'index.docker.io/', 'a.b:5000/', 'localhost/']
const suffixes = ['', ':a', ':ab', ':b', `@${digest}`, `:a@${digest}`]

/** Returns all pairs of the hand-picked ones, and as many generated ones for each engine. */
export function makeCases(generated: number, seed: number): GlobCase[] {
  const engines = Object.keys(globs) as PolicyEngineName[]
  const random = createRandom(seed)
  const pick = <Item>(items: readonly Item[]) => items[random(items.length)] as Item
  const picked = engines.flatMap((engine) =>
    globs[engine].flatMap((glob) => images.map((image) => ({ engine, glob, image }))),
  )
  const made = engines.flatMap((engine) =>
    Array.from({ length: generated }, () => {
      const glob = Array.from({ length: 1 + random(6) }, () => pick(parts[engine])).join('')
      const path = Array.from({ length: 1 + random(3) }, () => pick(imageParts)).join('/')
      return { engine, glob, image: pick(hosts) + path + pick(suffixes) }
    }),
  )
  return [...picked, ...made]
}

/** A linear congruential generator: the same cases for the same seed. */
function createRandom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}
