import { describe, expect, it } from 'vitest'
import { hostsAskedFor } from '../../../src/nodes/read/certs-d.ts'
import {
  readRegistriesConf,
  routeByRegistriesConf,
} from '../../../src/nodes/read/registries-conf.ts'
import { placesFor, readRegistriesYaml } from '../../../src/nodes/read/registries-yaml.ts'
import { resolveShortName } from '../../../src/nodes/read/short-names.ts'
import { isShortName } from '../../../src/nodes/read/short-names.ts'
import { parseReference } from '../../../src/decision/reference/parse.ts'
import { formatAsPulled } from '../../../src/decision/reference/reference.ts'
import { handMade, keyOf, type LoaderAnswer, type LoaderCase } from './loader-cases.ts'
import answers from '../../fixtures/nodes/loaders.json' with { type: 'json' }
import { configOf, renderedCases, tables, talosCases } from '../rendered-tables.ts'
import { tableRoute } from '../../../src/nodes/check/table-route.ts'

const golden = answers as unknown as Record<string, LoaderAnswer>

/** The certs.d directory of a case. */
function treeOf(files: LoaderCase['files']): Map<string, string | null> {
  return new Map(
    Object.entries(files)
      .filter(([path, content]) => content === null || path.endsWith('hosts.toml'))
      .map(([path, content]) => [path.split('/')[1] ?? '', content]),
  )
}

function byContainerd({ files, ask }: LoaderCase): LoaderAnswer {
  const hosts = hostsAskedFor(treeOf(files), ask)
  return {
    places: hosts.map(({ scheme, host, path, pull, resolve }) => {
      const can = [...(pull ? ['pull'] : []), ...(resolve ? ['resolve'] : [])].join(',')
      return `${scheme}://${host}${path} ${can}`
    }),
  }
}

function confOf(files: LoaderCase['files']) {
  return readRegistriesConf(
    Object.entries(files)
      .filter(([name]) => name.endsWith('.conf'))
      .map(([name, text]) => ({ name, text: text ?? '' })),
  )
}

function byCrio({ files, ask }: LoaderCase): LoaderAnswer {
  const parsed = parseReference(ask)
  if (!parsed.ok) throw new Error(parsed.message)
  const route = routeByRegistriesConf(confOf(files), formatAsPulled(parsed.reference))
  if ('fault' in route) return { error: route.fault }
  return {
    places: route.locations.map(({ image, insecure }) => `${image}${insecure ? ' insecure' : ''}`),
  }
}

/** As CRI-O before 1.34, which tries every search registry. */
function byCrioShort(each: LoaderCase): LoaderAnswer {
  if (!isShortName(each.ask)) return byCrio(each)
  const conf = confOf(each.files)
  if (conf.fault !== null) return { error: conf.fault }
  const answer = resolveShortName(conf.shortNames, each.ask, false)
  if ('fault' in answer) return { error: answer.fault }
  const answers = answer.images.map((image) => byCrio({ ...each, ask: formatAsPulled(image) }))
  return { places: answers.flatMap(({ places }) => places ?? []) }
}

/**
 * The answers of the loader were recorded through a proxy, which sees only the host of an https URL. The loader uses Docker
 * Hub's older host name. It also looks for `HOST:443` and `HOST:80`, and rewrites for the registry itself, which containerd does not.
 */
function byK3s({ files, ask }: LoaderCase): LoaderAnswer {
  const read = readRegistriesYaml(files['registries.yaml'] ?? '')
  if (read.fault !== null) return { error: read.fault }
  const parsed = parseReference(ask)
  if (!parsed.ok) throw new Error(parsed.message)
  const { domain, path, tag } = parsed.reference
  const places = placesFor(read, domain, path, false)
  return {
    places: places.map(({ endpoint }) => endpoint),
    images: places
      .filter(({ endpoint }) => endpoint.startsWith('http:'))
      .map(({ endpoint, paths }) => `${endpoint}/${paths.join(' or ')}:${tag}`),
  }
}

const all = [...handMade, ...renderedCases()]
const casesOf = (loader: LoaderCase['loader']) =>
  all.filter((each) => each.loader === loader).map((each) => [each.name, each] as const)

describe('the model of hosts.toml', () => {
  it.each(casesOf('containerd2'))('agrees with the loader of containerd 2: %s', (_, each) => {
    const { places, error } = golden[keyOf(each)] ?? {}

    expect(byContainerd(each).places).toEqual(places ?? [error])
  })
})

describe('files rendered for every version', () => {
  const rendered = renderedCases().filter(({ loader }) => loader === 'containerd1')

  it.each(rendered.map((each) => [each.name, each] as const))(
    'mean the same to containerd 1 and 2: %s',
    (_, each) => {
      const one = golden[keyOf(each)]

      expect(one?.places?.length).toBeGreaterThan(0)
      expect(one).toEqual(golden[keyOf({ ...each, loader: 'containerd2' })])
    },
  )
})

describe('the model of registries.conf', () => {
  it.each(casesOf('crio'))('agrees with the loader of containers/image: %s', (_, each) => {
    const { places, error } = golden[keyOf(each)] ?? {}
    const model = byCrio(each)

    expect(model.places).toEqual(error === undefined ? (places ?? []) : undefined)
    expect(model.error === undefined).toBe(error === undefined)
  })
})

describe('the model of registries.yaml', () => {
  it.each(casesOf('k3s').filter(([name]) => name !== 'the port of https'))(
    'agrees with the loader of K3s: %s',
    (_, each) => {
      const { places, images = [], error } = golden[keyOf(each)] ?? {}
      const seen = (all: readonly string[] = []) => [
        ...new Set(
          all.map((place) =>
            place
              .replace(/^(https:\/\/[^/]+).*/, '$1')
              .replace('index.docker', 'registry-1.docker'),
          ),
        ),
      ]

      expect(seen(byK3s(each).places)).toEqual(seen(places))
      expect(byK3s(each).images ?? []).toEqual(images)
      expect(byK3s(each).error === undefined).toBe(error === undefined)
    },
  )
})

describe('the model of short names', () => {
  it.each(casesOf('crioShort'))('agrees with the resolver of containers/image: %s', (_, each) => {
    const { places, error } = golden[keyOf(each)] ?? {}
    const model = byCrioShort(each)

    expect(model.places).toEqual(error === undefined ? places : undefined)
    expect(model.error === undefined).toBe(error === undefined)
  })
})

describe('files rendered for Talos', () => {
  it.each(talosCases().map((each) => [each.name, each] as const))(
    "ask the registries of the table, as Talos' own code reads them: %s",
    (name, each) => {
      const { places = [], error } = golden[keyOf(each)] ?? {}
      const config = configOf(tables[name.split(' ', 1)[0] ?? ''] ?? '')
      const image = { domain: each.ask, path: 'a/b', tag: '1', digest: null }
      const airGap = name.includes('air gap')
      const isHub = each.ask === 'docker.io'
      const fallback = `https://${isHub ? 'registry-1.docker.io' : each.ask}/v2`
      const urls = places.map((place) => `${place === 'fallback' ? fallback : place}/a/b:1`)

      expect(error).toBeUndefined()
      // Rows for a part of a host are left out.
      if (!name.startsWith('finer')) expect(urls).toEqual(tableRoute(config, image, { airGap }))
    },
  )
})
