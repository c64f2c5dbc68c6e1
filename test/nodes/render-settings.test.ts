/** The targets without files on the node: Talos and Bottlerocket. */
import { parse as parseToml } from 'smol-toml'
import { describe, expect, it } from 'vitest'
import { parse as parseYaml, parseAllDocuments } from 'yaml'
import { renderNodes } from '../../src/nodes/render/render.ts'
import { readVersion } from '../../src/nodes/render/target-version.ts'
import { configOf, tables } from './rendered-tables.ts'

const plain = { airGap: false, digestOnly: false, version: null }
const layout = configOf(tables['layout'] ?? '')
const oneMirror = configOf(`apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: 'anubis:32000', endpoint: http://anubis:32000, mirror: true }
  - { host: ghcr.io }
fallback:
  - { name: ghcr, images: ['ghcr.io/**'], try: ['anubis:32000/{host}/{path}', 'ghcr.io/{path}'] }
`)
const certificate = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'
const harbor = configOf(`apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: harbor.lan, mirror: true }]
fallback: [{ name: hub, images: ['docker.io/**'], try: ['harbor.lan/hub/{path}', 'docker.io/{path}'] }]
`)
const privateCa = {
  ...harbor,
  registries: new Map(
    [...harbor.registries].map(([host, settings]) => [
      host,
      settings.mirror ? { ...settings, ca: certificate } : settings,
    ]),
  ),
}

type Options = Parameters<typeof renderNodes>[2]
const render = (
  target: 'talos' | 'bottlerocket',
  config = layout,
  options: Partial<Options> = {},
) => renderNodes(config, target, { ...plain, ...options })
const contentOf = (...args: Parameters<typeof render>) => render(...args).files[0]?.content ?? ''
const messagesOf = (...args: Parameters<typeof render>) =>
  render(...args).omissions.map(({ message }) => message)

describe('render --target talos', () => {
  it('writes a patch of machine.registries, which every version reads', () => {
    expect(parseYaml(contentOf('talos'))).toEqual({
      machine: {
        registries: {
          mirrors: {
            'anubis:32000': { endpoints: ['http://anubis:32000'], skipFallback: true },
            'docker.io': {
              endpoints: ['http://anubis:32000/v2/docker.io', 'https://harbor.lan/v2/proxy'],
              overridePath: true,
            },
            'ghcr.io': { endpoints: ['http://anubis:32000/v2/ghcr.io'], overridePath: true },
            'quay.io': {
              endpoints: ['http://anubis:32000/v2/quay.io'],
              overridePath: true,
              skipFallback: true,
            },
          },
        },
      },
    })
  })

  it('writes a document for each registry from Talos 1.12 on', () => {
    const documents = parseAllDocuments(
      contentOf('talos', layout, { version: readVersion('v1.12.4') }),
    ).map((each) => each.toJS() as object)

    expect(documents).toHaveLength(4)
    expect(documents[1]).toEqual({
      apiVersion: 'v1alpha1',
      kind: 'RegistryMirrorConfig',
      name: 'docker.io',
      endpoints: [
        { url: 'http://anubis:32000/v2/docker.io', overridePath: true },
        { url: 'https://harbor.lan/v2/proxy', overridePath: true },
      ],
    })
    expect(documents[3]).toMatchObject({ name: 'quay.io', skipFallback: true })
  })

  it('writes a private CA in the form of the version', () => {
    const old = contentOf('talos', privateCa)
    const documents = contentOf('talos', privateCa, { version: readVersion('1.13') })

    expect(parseYaml(old)).toMatchObject({
      machine: {
        registries: {
          config: { 'harbor.lan': { tls: { ca: Buffer.from(certificate).toString('base64') } } },
        },
      },
    })
    expect(parseAllDocuments(documents).at(-1)?.toJS()).toEqual({
      apiVersion: 'v1alpha1',
      kind: 'RegistryTLSConfig',
      name: 'harbor.lan',
      ca: certificate,
    })
  })

  it('refuses --digest-only, and an air gap before Talos 1.9', () => {
    expect(messagesOf('talos', oneMirror, { digestOnly: true })).toEqual([
      expect.stringContaining('Talos cannot limit a mirror to digests'),
    ])
    const old = { airGap: true, version: readVersion('1.8.4') }
    expect(messagesOf('talos', oneMirror, old)).toEqual([
      expect.stringContaining('always asks anubis:32000 under its own name last'),
    ])
    expect(messagesOf('talos', oneMirror, { airGap: true })).toEqual([])
  })
})

describe('render --target bottlerocket', () => {
  it('writes settings that apiclient and user data accept', () => {
    expect(parseToml(contentOf('bottlerocket', oneMirror))).toEqual({
      settings: {
        'container-registry': {
          mirrors: [
            { registry: 'anubis:32000', endpoint: ['http://anubis:32000'] },
            { registry: 'ghcr.io', endpoint: ['http://anubis:32000/v2/ghcr.io'] },
          ],
        },
      },
    })
    expect(contentOf('bottlerocket', oneMirror)).toContain(
      '[[settings.container-registry.mirrors]]\nregistry = "anubis:32000"\nendpoint = [ "http://anubis:32000" ]\n',
    )
  })

  it('adds a private CA to settings.pki, and says that the whole node trusts it', () => {
    const { files, notes } = render('bottlerocket', privateCa)

    expect(parseToml(files[0]?.content ?? '')).toMatchObject({
      settings: {
        pki: {
          'berth-harbor-lan': {
            data: Buffer.from(certificate).toString('base64'),
            trusted: true,
          },
        },
      },
    })
    expect(notes.join('\n')).toContain('every program of the node trusts the CAs')
  })

  it('refuses what the settings cannot express', () => {
    expect(messagesOf('bottlerocket', oneMirror, { airGap: true })).toEqual([
      expect.stringContaining('always asks ghcr.io under its own name last; leave --air-gap out'),
    ])
    expect(messagesOf('bottlerocket', oneMirror, { digestOnly: true })).toEqual([
      expect.stringContaining('can limit a mirror to digests'),
    ])
    expect(messagesOf('bottlerocket')).toEqual([
      'Bottlerocket always asks quay.io under its own name last; leave the row to the webhook',
    ])
  })

  it('refuses mirrors that are not in alphabetical order from 1.56 on', () => {
    const config = configOf(`apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: z.lan, mirror: true }, { host: a.lan, mirror: true }]
fallback: [{ name: hub, images: ['docker.io/**'], try: ['z.lan/{path}', 'a.lan/{path}', 'docker.io/{path}'] }]
`)
    const message =
      'asks endpoints in alphabetical order: https://a.lan, https://z.lan for docker.io'

    expect(messagesOf('bottlerocket', config)).toEqual([expect.stringContaining(message)])
    expect(messagesOf('bottlerocket', config, { version: readVersion('1.55.0') })).toEqual([])
  })
})
