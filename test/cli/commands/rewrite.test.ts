import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { berth } from '../../support/io.ts'

const pod = (image: string) =>
  `apiVersion: v1\nkind: Pod\nmetadata: { name: p }\nspec:\n  containers:\n  - image: ${image} # kept\n`
const mirrored = 'anubis:32000/docker.io/library/nginx:1'

let directory: string
let config: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'berth-test-'))
  config = put(
    'berth.yaml',
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: anubis:32000, mirror: true }]
fallback:
  - { name: hub, images: ['docker.io/**'], try: ['anubis:32000/{host}/{path}', 'docker.io/{path}'] }
  - { name: by-namespace, images: ['ghcr.io/**'], try: ['anubis:32000/{namespace}/{name}'] }
workloads: [{ kind: argoproj.io/Rollout, pod: spec.template, images: ['spec.steps[].image'] }]
`,
  )
})

function put(name: string, text: string): string {
  const file = join(directory, name)
  writeFileSync(file, text)
  return file
}

const rewrite = (args: readonly string[], input = '') =>
  berth(['rewrite', '--no-probe', '--config', config, ...args], input)

describe('berth rewrite for some pods only', () => {
  const rows = `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: anubis:32000, mirror: true }]
fallback:
  - name: databases
    when: { namespaces: [db], pods: { matchLabels: { app: db } }, owners: [db.example/Cluster] }
    leave: true
  - { name: hub, images: ['docker.io/**'], try: ['anubis:32000/{host}/{path}'] }
workloads: [{ kind: db.example/Cluster, pod: spec.template }]
`
  const cluster = (kind: string, namespace: string) =>
    `apiVersion: ${kind}
metadata: { name: p${namespace === '' ? '' : `, namespace: ${namespace}`} }
spec: { template: { metadata: { labels: { app: db } }, spec: { containers: [{ name: c, image: nginx:1 }] } } }
`
  const custom = 'db.example/v1\nkind: Cluster'
  const run = (text: string, ...args: string[]) => {
    put('berth.yaml', rows)
    return rewrite(['-f', '-', ...args], text)
  }

  it('knows the labels, the namespace and the owner of built-in kinds', async () => {
    const text = cluster('apps/v1\nkind: Deployment', 'db')

    expect(await run(text)).toMatchObject({ code: 0, stdout: text.replace('nginx:1', mirrored) })
    expect((await run(text)).stderr).not.toContain('may apply')
  })

  it('takes the owner of other kinds from --owner, and says if it is not known', async () => {
    const text = cluster(custom, 'db')
    const unknown = await run(text)

    expect(unknown.stdout).toBe(text.replace('nginx:1', mirrored))
    expect(unknown.stderr).toContain(
      '-:4: db.example/Cluster p: nginx:1: row databases may apply: it depends on the owners of the pod, which are not known; give --owner\n',
    )
    expect(await run(text, '--owner', 'db.example/Cluster')).toMatchObject({
      stdout: text,
      stderr: '',
    })
    expect((await run(text, '--owner', 'none')).stderr).not.toContain('may apply')
  })

  it('does not assume a namespace', async () => {
    const text = cluster(custom, '')
    const args = ['--owner', 'db.example/Cluster']

    expect((await run(text, ...args)).stderr).toContain('give --namespace\n')
    expect((await run(text, ...args, '-n', 'db')).stdout).toBe(text)
    expect((await run(text, ...args, '-n', 'web')).stderr).not.toContain('may apply')
  })

  it('has the members left and undecidedRows in JSON', async () => {
    const left = await run(cluster(custom, 'db'), '-o', 'json', '--owner', 'db.example/Cluster')
    const unknown = await run(cluster(custom, 'db'), '-o', 'json')

    expect(JSON.parse(left.stdout)).toMatchObject([{ left: true, undecidedRows: [] }])
    expect(JSON.parse(unknown.stdout)).toMatchObject([
      { left: false, undecidedRows: ['databases'], row: 'hub' },
    ])
  })
})

describe('berth rewrite', () => {
  it('rewrites standard input to standard output, and prints the changes to standard error', async () => {
    const { code, stdout, stderr } = await rewrite(['-f', '-'], pod('nginx:1'))

    expect({ code, stdout }).toEqual({ code: 0, stdout: pod(mirrored) })
    expect(stderr).toBe(
      `-:6: Pod p: containers/0: nginx:1 → ${mirrored} (taken from anubis:32000 without a probe)\n`,
    )
  })

  it('rejects files that are not UTF-8, and does not change them', async () => {
    const bytes = Buffer.concat([Buffer.from(pod('nginx:1')), Buffer.from([0x23, 0xe9, 0x0a])])
    const file = join(directory, 'latin.yaml')
    writeFileSync(file, bytes)
    const { code, stderr } = await rewrite(['-f', file, '--in-place'])

    expect({ code, stderr }).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('not UTF-8'),
    })
    expect(readFileSync(file)).toEqual(bytes)
  })

  it('rejects an anchor that contains an alias of itself', async () => {
    const text = pod('nginx:1').replace('spec:', 'spec: &a\n  x: *a')

    expect(await rewrite(['-f', '-'], text)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('inside its own anchor'),
    })
  })

  it('prints unchanged text byte for byte', async () => {
    const text = '# nothing\r\n\n---\n---\nfoo:   bar'

    expect(await rewrite(['-f', '-'], text)).toEqual({ code: 0, stdout: text, stderr: '' })
  })

  it('works as a kustomize function: rewrites the items of a ResourceList, but not its functionConfig', async () => {
    const list = `apiVersion: config.kubernetes.io/v1
kind: ResourceList
items:
- apiVersion: v1
  kind: Pod
  metadata: {name: p, annotations: {config.kubernetes.io/index: '0'}}
  spec: {containers: [{image: nginx:1}]}
functionConfig:
  apiVersion: v1
  kind: Pod
  spec: {containers: [{image: nginx:1}]}
`

    const { code, stdout } = await rewrite(['-f', '-'], list)

    expect(code).toBe(0)
    expect(stdout).toBe(list.replace('nginx:1', mirrored))
  })

  it('joins several files into one stream, and reads directories as kubectl does', async () => {
    mkdirSync(join(directory, 'm/deep/.hidden'), { recursive: true })
    put(
      'm/b.json',
      '{ "apiVersion": "v1", "kind": "Pod", "spec": { "containers": [{ "image": "nginx:1" }] } }',
    )
    put('m/a.yaml', pod('nginx:1'))
    put('m/readme.md', '# no manifest')
    put('m/template.yaml', '{{- if .Values.a }}\na: b\n{{- end }}\n')
    put('m/deep/c.yml', `---\n${pod('nginx:1')}`)
    put('m/deep/.hidden/d.yml', pod('nginx:1'))

    const flat = await rewrite(['-f', join(directory, 'm')])
    const deep = await rewrite(['-R', '-f', join(directory, 'm')])

    expect(flat.code).toBe(0)
    expect(flat.stdout.split(mirrored)).toHaveLength(3)
    expect(flat.stderr).toContain('template.yaml:1: skipped, because it looks like a template')
    expect(deep.stdout.split(mirrored)).toHaveLength(4)
    expect(deep.stdout.split(/^---$/m)).toHaveLength(4)
  })

  it('prints a diff with --diff', async () => {
    const file = put('pod.yaml', pod('nginx:1'))

    const { code, stdout } = await rewrite(['-f', file, '--diff'])

    expect(code).toBe(0)
    expect(stdout).toContain('\n-  - image: nginx:1 # kept\n')
    expect(stdout).toContain(`\n+  - image: ${mirrored} # kept\n`)
    expect(readFileSync(file, 'utf8')).toBe(pod('nginx:1'))
  })

  it('exits with 1 for --check if something would change, and with 0 after --in-place', async () => {
    const file = put('pod.yaml', pod('nginx:1'))
    chmodSync(file, 0o640)
    const link = join(directory, 'link.yaml')
    symlinkSync(file, link)

    const before = await rewrite(['-f', link, '--check'])
    const written = await rewrite(['-f', link, '--in-place'])
    const after = await rewrite(['-f', link, '--check'])

    expect(before).toMatchObject({
      code: 1,
      stdout: expect.stringContaining(`nginx:1 → ${mirrored}`),
    })
    expect(written).toMatchObject({ code: 0, stdout: '' })
    expect(after).toMatchObject({ code: 0 })
    expect(readFileSync(file, 'utf8')).toBe(pod(mirrored))
    expect(statSync(file).mode & 0o777).toBe(0o640)
    expect(lstatSync(link).isSymbolicLink()).toBe(true)
  })

  it('does not follow links out of the directory, and names them', async () => {
    mkdirSync(join(directory, 'tree/deep'), { recursive: true })
    mkdirSync(join(directory, 'outside'))
    const outside = put('outside/pod.yaml', pod('nginx:1'))
    const inside = put('tree/deep/pod.yaml', pod('nginx:1'))
    symlinkSync('../outside/pod.yaml', join(directory, 'tree/file.yaml'))
    symlinkSync(join(directory, 'outside'), join(directory, 'tree/directory'))
    symlinkSync('..', join(directory, 'tree/deep/loop'))
    symlinkSync('deep/pod.yaml', join(directory, 'tree/same.yaml'))

    const { code, stderr } = await rewrite(['-R', '--in-place', '-f', join(directory, 'tree')])

    expect(code).toBe(0)
    expect(readFileSync(inside, 'utf8')).toBe(pod(mirrored))
    expect(readFileSync(outside, 'utf8')).toBe(pod('nginx:1'))
    expect(stderr).toMatch(
      /tree\/file\.yaml: skipped, because it is a link to .*outside\/pod\.yaml, /,
    )
    expect(stderr).toMatch(/tree\/directory: skipped, because it is a link to .*outside, /)
    expect(stderr).toContain('tree/deep/loop: skipped, because it is a link to the directory ')
  })

  it.each(['[]', '- a\n- b', 'text', `${pod('nginx:1')}---\n[]`])(
    'rejects %j, which is not a manifest',
    async (text) => {
      expect(await rewrite(['-f', '-'], text)).toMatchObject({
        code: 2,
        stdout: '',
        stderr: expect.stringContaining('a manifest is a map with apiVersion and kind'),
      })
    },
  )

  it('skips a list in a directory, for example a JSON patch, and names it', async () => {
    mkdirSync(join(directory, 'm'))
    put('m/patch.yaml', '\n- op: remove\n')
    put('m/pod.yaml', pod('nginx:1'))

    const { code, stderr } = await rewrite(['--in-place', '-f', join(directory, 'm')])

    expect(code).toBe(0)
    expect(stderr).toContain('m/patch.yaml:2: skipped, because it is not a manifest')
    expect(readFileSync(join(directory, 'm/pod.yaml'), 'utf8')).toBe(pod(mirrored))
  })

  it('reports all files that cannot be read', async () => {
    const { code, stderr } = await rewrite(['-f', '/nowhere.yaml', '-f', '/dev/zero'])

    expect(code).toBe(2)
    expect(stderr).toContain('/nowhere.yaml cannot be read: it does not exist')
    expect(stderr).toContain('/dev/zero cannot be read: it has more than 16777216 bytes; split it')
  })

  it('prints every image with -o json', async () => {
    const { stdout } = await rewrite(['-f', '-', '-o', 'json'], pod('nginx:1'))

    expect(JSON.parse(stdout)).toEqual([
      {
        file: '-',
        line: 6,
        object: 'Pod p',
        namespace: 'default',
        site: 'containers/0',
        from: 'nginx:1',
        to: mirrored,
        row: 'hub',
        why: 'taken from anubis:32000 without a probe',
        pinned: false,
        left: false,
        undecidedRows: [],
        changed: true,
      },
    ])
  })

  it('takes the namespace from the object, then from -n, and rewrites kinds of the config', async () => {
    const rollout = (namespace: string) => `apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: { name: r${namespace} }
spec: { template: { spec: { containers: [{ image: ghcr.io/a/b:1 }] } }, steps: [{ image: ghcr.io/a/c:1 }, { pause: {} }] }
`
    const one = await rewrite(['-f', '-'], rollout(', namespace: team'))
    const two = await rewrite(['-f', '-', '-n', 'other'], rollout(''))

    expect(parse(one.stdout)).toMatchObject({
      spec: {
        template: { spec: { containers: [{ image: 'anubis:32000/team/b:1' }] } },
        steps: [{ image: 'anubis:32000/team/c:1' }, { pause: {} }],
      },
    })
    expect(two.stdout).toContain('anubis:32000/other/b:1')
  })

  it.each([
    [[], 'no manifest is given'],
    [['-f', '/nowhere.yaml'], 'manifest-invalid: /nowhere.yaml cannot be read: it does not exist'],
    [['-f', '-', '--diff', '--check'], "'--diff' cannot be used with option '--check'"],
    [['-f', '-', '--in-place'], 'standard input cannot be changed in place'],
    [['-f', '-', '--pin'], '--pin asks registries'],
    [['-f', '-'], 'manifest-invalid: -:2: '],
  ])('rejects %j: %s', async (args, message) => {
    const { code, stdout, stderr } = await rewrite(args, 'a: 1\nb: [')

    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(message)
  })
})
