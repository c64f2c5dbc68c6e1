import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { berth } from '../../support/io.ts'

const directory = mkdtempSync(join(tmpdir(), 'berth-test-'))

function put(name: string, text: string): string {
  const file = join(directory, name)
  writeFileSync(file, text)
  return file
}

const config = (name: string, rows: string, more = '') =>
  put(
    name,
    `apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\nregistries: [{ host: anubis:32000, mirror: true }]\nfallback:\n${rows}\n${more}`,
  )

const hub =
  "  - { name: hub, images: ['docker.io/**'], try: ['anubis:32000/{host}/{path}', 'docker.io/{path}'] }"
const quay =
  "  - { name: quay, images: ['quay.io/acme/*'], try: ['anubis:32000/{host}/{path}', 'quay.io/{path}'] }"
const old = config('old.yaml', hub)
const added = config('added.yaml', `${hub}\n${quay}`)
const pods = put(
  'pods.yaml',
  'apiVersion: v1\nkind: Pod\nmetadata: { name: p }\nspec: { containers: [{ image: nginx }, { image: quay.io/acme/app:1 }, { image: quay.io/other/app:1 }] }\n',
)

it('prints the images of manifests that the configs decide differently', async () => {
  const { code, stdout, stderr } = await berth(['diff', old, added, '-f', pods])

  expect({ code, stdout, stderr }).toEqual({
    code: 1,
    stdout: `quay.io/acme/app:1  in default  ${pods}: Pod p
  - quay.io/acme/app:1  (row none)
  + anubis:32000/quay.io/acme/app:1, quay.io/acme/app:1  (row quay)
`,
    stderr: '1 of 3 images are decided differently\n',
  })
})

it('compares a sample of each pattern if no images are given', async () => {
  const { code, stdout } = await berth(['diff', old, added, '-o', 'json'])

  expect(code).toBe(1)
  expect(JSON.parse(stdout)).toMatchObject([
    { image: 'quay.io/acme/a', old: { row: null }, new: { row: 'quay' } },
  ])
})

it('compares pins, pull policies and pull secrets', async () => {
  const more = config(
    'more.yaml',
    hub,
    "pin: { tags: [latest] }\npullPolicy: [{ images: ['anubis:32000/**'], set: IfNotPresent }]\npullSecrets: [{ registries: ['anubis:32000'], secret: creds }]\n",
  )

  const { stdout } = await berth(['diff', old, more, '-f', pods])

  expect(stdout).toContain('(row hub; pinned; pull policy IfNotPresent; pull secrets creds)')
})

it('compares rows for some pods by the pods of the manifests, and lists those that it cannot decide', async () => {
  const databases =
    "  - { name: databases, when: { namespaces: ['db-*'], owners: [db.example/Cluster] }, leave: true }"
  const rows = config(
    'rows.yaml',
    `${databases}\n${hub}`,
    'workloads: [{ kind: db.example/Cluster, images: [spec.image] }]\n',
  )
  const manifests = put(
    'databases.yaml',
    `apiVersion: db.example/v1
kind: Cluster
metadata: { name: a, namespace: db-1 }
spec: { image: postgres }
---
apiVersion: v1
kind: Pod
metadata:
  name: b
  namespace: db-1
  ownerReferences: [{ apiVersion: db.example/v1, kind: Cluster, name: a }]
spec: { containers: [{ image: redis }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: c, namespace: db-1 }
spec: { template: { spec: { containers: [{ image: nginx }] } } }
`,
  )
  const { stdout, stderr } = await berth(['diff', rows, old, '-f', manifests])
  const reversed = await berth(['diff', old, rows, '-f', manifests])

  expect(stdout).toContain('redis  in db-1')
  expect(stdout).toContain('- docker.io/library/redis:latest  (row databases; left unchanged)')
  expect(stderr).toBe(
    'berth: images outside of pod templates are included: 1 in fields of custom resources\n2 of 3 images are decided differently\n',
  )
  expect(reversed.stdout).toContain('(row hub; row databases may apply)')
  expect(reversed.stderr).toBe('2 of 3 images are decided differently\n')
})

it('exits with 0 if nothing differs', async () => {
  expect(await berth(['diff', old, old, '-f', pods])).toMatchObject({ code: 0, stdout: '' })
})
