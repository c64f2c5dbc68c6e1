/** Writes a plan as a commented config file. Pure. */
import { plainHttpHosts } from '../config/registries.ts'
import { canonicalHost } from '../decision/fallback/registry-aliases.ts'
import { formatReference } from '../decision/reference/reference.ts'
import {
  type InitPlan,
  isOnLoopback,
  mirrorName,
  mirrorTemplate,
  type PlannedMirror,
  type PlannedUpstream,
  rowNames,
} from './init-plan.ts'
import { mirrorKinds } from './mirror-kind.ts'

/** Tests in a config. More would hide the rest of the file. */
const maxTests = 12

/** Returns the text of the config. It loads without a warning, and its tests pass. */
export function configText(given: InitPlan): string {
  const plan = withoutSameServers(given)
  const { mirror, upstreams, notes, operators } = plan
  const names = rowNames(upstreams.map(({ host }) => host))
  const sections = [
    plan.schema === null ? [] : [`# yaml-language-server: $schema=${plan.schema}`],
    ['# Written by `berth init`. Edit it as needed; `berth check` validates it.'],
    ['apiVersion: berth.dev/v1alpha1', 'kind: BerthConfig'],
    ['', ...registryLines(plan)],
    ['', ...rowLines(mirror, upstreams, names)],
    ...(notes.length === 0 ? [] : [['  # Registries without a row:', ...notes.map(noteLine)]]),
    ['', '# New pods get the digest that these tags have now, so that all replicas run the same.'],
    ['pin: { tags: [latest] }'],
    ...(mirror.secret === null ? [] : [['', ...secretLines(mirror, mirror.secret)]]),
    ...(mirror.kind === 'ecr' ? [['', ...ecrLines]] : []),
    ...(operators.length === 0 ? [] : [['', ...operatorLines(operators)]]),
    ['', ...testLines(plan, names)],
  ]
  return `${sections.flat().join('\n')}\n`
}

/** Leaves out other spellings of a server: without TLS, `r.corp:80` is `r.corp`. */
function withoutSameServers(plan: InitPlan): InitPlan {
  const { mirror, upstreams } = plan
  const isPlainHttp = plainHttpHosts(
    [mirror, ...upstreams].map(({ host, endpoint }) => ({ host, endpoint: endpoint ?? undefined })),
  )
  const hosts = new Set([mirror.host, ...upstreams.map(({ host }) => host)])
  const isOther = ({ host }: PlannedUpstream) => {
    const server = canonicalHost(host, isPlainHttp)
    return server !== host && hosts.has(server)
  }
  const distinct = upstreams.filter((each) => !isOther(each))
  const others = upstreams.filter(isOther).map(({ host }) => host)
  const notes = [
    ...plan.notes,
    ...others.map((host) => `${host}: the same server as without the port`),
  ]
  return { ...plan, upstreams: distinct, notes }
}

function registryLines({ mirror, upstreams, platforms, proxy }: InitPlan): string[] {
  const caches = [...mirror.caches.keys()]
  const { title } = mirrorKinds[mirror.kind]
  const listed = upstreams.filter(({ endpoint }) => endpoint !== null || proxy !== null)
  return [
    'registries:',
    `  - host: ${quoted(mirror.host)} # the mirror: ${title}`,
    ...(mirror.endpoint === null
      ? []
      : [`    endpoint: ${quoted(mirror.endpoint)} ${endpointComment(mirror)}`]),
    '    mirror: true',
    ...(caches.length === 0
      ? []
      : [
          `    copy: false # the mirror caches ${caches.join(', ')} itself, so Berth does not push to it`,
        ]),
    ...(mirror.secret === null
      ? []
      : [
          `    credentials: { secret: ${quoted(mirror.secret)} } # a pull secret in the namespace of Berth`,
        ]),
    ...(mirror.secret !== null && mirror.endpoint?.startsWith('http:') === true
      ? ['    allowPlainHttpAuth: true # without TLS, others on the network can read the password']
      : []),
    ...(mirror.kind === 'ecr' ? ['    credentials: { ecr: {} } # see docs/ecr.md'] : []),
    ...(mirror.ca === null
      ? []
      : [`    ca: ${quoted(mirror.ca)} # relative to the directory of this file`]),
    ...(proxy === null ? [] : ['    proxy: none']),
    ...(platforms.length === 0
      ? []
      : [
          `    platforms: [${platforms.join(', ')}] # the platforms of the nodes; a copy needs all of them`,
        ]),
    ...listed.flatMap(({ host, endpoint }) => [
      `  - host: ${quoted(host)}`,
      ...(endpoint === null ? [] : [`    endpoint: ${quoted(endpoint)}`]),
      ...(proxy === null ? [] : [`    proxy: ${quoted(proxy)}`]),
    ]),
  ]
}

function endpointComment(mirror: PlannedMirror): string {
  const comment = '# where Berth reaches it'
  return isOnLoopback(mirror)
    ? `${comment}; pods cannot reach this, they need the address of a node or a Service`
    : comment
}

function rowLines(
  mirror: PlannedMirror,
  upstreams: readonly PlannedUpstream[],
  names: readonly string[],
): string[] {
  const rows = upstreams.flatMap(({ host, repositories, note }, index) => [
    `  - name: ${quoted(names[index] ?? '')}${repositories === 0 ? '' : ` # ${counted(repositories)}`}`,
    ...(note === null ? [] : [`    # ${comment(note)}`]),
    `    images: [${quoted(`${host}/**`)}]`,
    `    try: [${quoted(mirrorTemplate(mirror, host))}, ${quoted(`${host}/{path}`)}]`,
  ])
  return rows.length === 0
    ? ['fallback: []']
    : [
        '# The first row that matches an image decides: the mirror, then the upstream registry.',
        'fallback:',
        ...rows,
      ]
}

function counted(repositories: number): string {
  return repositories === 1 ? '1 repository in use' : `${repositories} repositories in use`
}

function noteLine(note: string): string {
  return `  # - ${comment(note)}`
}

function secretLines({ host }: PlannedMirror, secret: string): string[] {
  return [
    '# Pods that get an image of the mirror also get this pull secret. It must exist in their namespace:',
    '# docs/pull-secrets.md describes how Berth copies it there.',
    `pullSecrets: [{ registries: [${quoted(host)}], secret: ${quoted(secret)} }]`,
  ]
}

const ecrLines = [
  '# Amazon ECR does not create repositories on push.',
  'mirror: { createRepositories: true }',
]

function operatorLines(operators: readonly string[]): string[] {
  return [
    '# These operators in the cluster compare the images of their pods, so Berth leaves these images unchanged',
    '# (docs/operators.md):',
    ...operators.map((operator) => `# - ${comment(operator)}`),
  ]
}

function testLines({ mirror, upstreams }: InitPlan, names: readonly string[]): string[] {
  const tests = upstreams.slice(0, maxTests).flatMap(({ host, example }, index) => {
    const image = example ?? { domain: host, path: 'team/app', tag: '1', digest: null }
    return [testLine(formatReference(image), mirrorName(mirror, image), names[index] ?? null)]
  })
  const own = mirrorName(mirror, {
    domain: upstreams[0]?.host ?? 'docker.io',
    path: 'team/app',
    tag: '1',
    digest: null,
  })
  return [
    '# `berth check` runs these tests. The last one: an image that is already on the mirror stays unchanged.',
    'tests:',
    ...tests,
    testLine(own, own, null),
  ]
}

function testLine(image: string, expect: string, row: string | null): string {
  return `  - { image: ${quoted(image)}, expect: ${quoted(expect)}, row: ${row === null ? 'null' : quoted(row)} }`
}

/** Quotes what is not a plain word in YAML. */
function quoted(text: string): string {
  return /^[a-z][a-z0-9./-]*$/i.test(text) && !/^(?:true|false|null|yes|no|on|off|y|n)$/i.test(text)
    ? text
    : `'${text.replaceAll("'", "''")}'`
}

/** Returns the text on one line: what a cluster says must not end a comment. */
function comment(text: string): string {
  return text
    .replaceAll(/[\p{Control}\p{Bidi_Control}\p{Line_Separator}\p{Paragraph_Separator}]+/gu, ' ')
    .slice(0, 200)
}
