import { describe, expect, it } from 'vitest'
import { partsWithImages } from '../../src/manifests/skip-documents.ts'

const service = 'apiVersion: v1\nkind: Service\nmetadata: { name: a }\n'
const definition =
  'apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nspec: { image: [ }\n'
const pod = 'apiVersion: v1\nkind: Pod\nspec: { containers: [{ image: nginx:1 }] }\n'
const parts = (text: string, kinds: readonly string[] = []) =>
  partsWithImages(text, kinds).map(({ start, end }) => text.slice(start, end))

describe('partsWithImages', () => {
  it('returns the objects that can have images', () => {
    const text = [definition, pod, service, pod, pod].join('---\n')

    expect(parts(text)).toEqual([`---\n${pod}`, `---\n${pod}---\n${pod}`])
  })

  it.each([
    ['a Namespace', 'apiVersion: v1\nkind: Namespace\n'],
    ['a kustomization', 'apiVersion: kustomize.config.k8s.io/v1\nkind: Kustomization\n'],
    ['Helm values', 'replicas: 1\n'],
    ['invalid YAML', 'a: [\n'],
    ['JSON', '{"apiVersion":"v1","kind":"Service"}\n'],
    ['a name of an image', 'apiVersion: v1\nkind: A\nspec: { run: ghcr.io/a/b:1 }\n'],
    ['the digest of an image', 'apiVersion: v1\nkind: A\nspec: { run: my:5000/b@sha256:0 }\n'],
    ['a kind of the config', 'apiVersion: v1\nkind: Custom\nspec: { run: nginx }\n'],
    ['a YAML directive', '%YAML 1.2\n---\napiVersion: v1\nkind: Service\n'],
  ])('keeps %s', (_, text) => {
    expect(parts(text, ['Custom'])).toEqual([text])
  })

  it('takes time linear in the length of a line', () => {
    const line = `# ${'a.io/b.io/'.repeat(100_000)}`
    const text = `${service}${line}\n`

    expect(parts(text)).toEqual([])
  })
})
