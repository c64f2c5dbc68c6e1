import { describe, expect, it } from 'vitest'
import { hostsAskedFor } from '../../../src/nodes/read/certs-d.ts'
import {
  readRegistriesConf,
  routeByRegistriesConf,
} from '../../../src/nodes/read/registries-conf.ts'
import { endpointsFor, readRegistriesYaml } from '../../../src/nodes/read/registries-yaml.ts'
import { parseReference } from '../../../src/decision/reference/parse.ts'
import { formatAsPulled } from '../../../src/decision/reference/reference.ts'
import { handMade, keyOf, type LoaderAnswer, type LoaderCase } from './loader-cases.ts'
import answers from '../../fixtures/nodes/loaders.json' with { type: 'json' }
import { renderedCases } from '../rendered-tables.ts'

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

function byCrio({ files, ask }: LoaderCase): LoaderAnswer {
  const parsed = parseReference(ask)
  if (!parsed.ok) throw new Error(parsed.message)
  const conf = Object.entries(files)
    .filter(([name]) => name.endsWith('.conf'))
    .map(([name, text]) => ({ name, text: text ?? '' }))
  const route = routeByRegistriesConf(readRegistriesConf(conf), formatAsPulled(parsed.reference))
  if ('fault' in route) return { error: route.fault }
  return {
    places: route.locations.map(({ image, insecure }) => `${image}${insecure ? ' insecure' : ''}`),
  }
}

/** The answers of the loader were recorded through a proxy, which sees only the host of an https URL. The loader uses Docker Hub's older host name. */
function byK3s({ files, ask }: LoaderCase): LoaderAnswer {
  const read = readRegistriesYaml(files['registries.yaml'] ?? '')
  if (read.fault !== null) return { error: read.fault }
  const parsed = parseReference(ask)
  if (!parsed.ok) throw new Error(parsed.message)
  return { places: endpointsFor(read, parsed.reference.domain, false) }
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
  it.each(casesOf('k3s'))('agrees with the loader of K3s: %s', (_, each) => {
    const { places, error } = golden[keyOf(each)] ?? {}
    const seen = (all: readonly string[] = []) => [
      ...new Set(
        all.map((place) =>
          place.replace(/^(https:\/\/[^/]+).*/, '$1').replace('index.docker', 'registry-1.docker'),
        ),
      ),
    ]

    expect(seen(byK3s(each).places)).toEqual(seen(places))
    expect(byK3s(each).error === undefined).toBe(error === undefined)
  })
})
