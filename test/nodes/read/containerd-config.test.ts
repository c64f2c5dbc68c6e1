import { describe, expect, it } from 'vitest'
import { containerdVersion } from '../../../src/nodes/read/containerd-versions.ts'
import { readContainerdConfig } from '../../../src/nodes/read/containerd-config.ts'
import type { ConfigFileSystem } from '../../../src/nodes/read/containerd-files.ts'
import { readVersion } from '../../../src/nodes/render/target-version.ts'
import {
  type ConfigAnswer,
  type ConfigCase,
  configCases,
  containerdVersions,
  registry,
} from './containerd-config-cases.ts'
import answers from '../../fixtures/nodes/containerd-config.json' with { type: 'json' }

const golden: Readonly<Record<string, Readonly<Record<string, ConfigAnswer>>>> = answers
const main = '/etc/containerd/config.toml'

function systemOf(files: ConfigCase['files']): ConfigFileSystem {
  return {
    read: (path) => files[path] ?? null,
    glob: (pattern) => {
      const [before = '', after = ''] = pattern.split('*')
      const matches = (path: string) => path.startsWith(before) && path.endsWith(after)
      return Object.keys(files).filter(matches).sort()
    },
  }
}

function configAs(version: string, { files }: ConfigCase) {
  const parsed = readVersion(version)
  if (parsed === null) throw new Error(version)
  return readContainerdConfig(main, systemOf(files), containerdVersion(parsed))
}

/** The servers that are asked by the model: each directory of a case has one, and then nothing else is asked. */
function askedBy(
  { configPaths, usesMirrors }: ReturnType<typeof configAs>,
  files: ConfigCase['files'],
): string[] {
  if (usesMirrors) return ['mirror', 'upstream']
  const hosts = configPaths.map((path) => files[`${path}/${registry}/hosts.toml`])
  const found = hosts.find((text) => text !== undefined)
  return [/SERVER\/(\S+?)"/.exec(found ?? '')?.[1] ?? 'upstream']
}

describe.each([...containerdVersions])('the model of containerd %s', (version) => {
  it.each(configCases.map((each) => [each.name, each] as const))(
    'asks the servers that containerd asks: %s',
    (name, each) => {
      const { asked, error } = golden[version]?.[name] ?? {}
      const model = configAs(version, each)

      expect(model.fault === null ? askedBy(model, each.files) : undefined).toEqual(asked)
      expect(model.fault === null).toBe(error === undefined)
    },
  )
})

describe('without a known version', () => {
  const unknown = ({ files }: ConfigCase) => readContainerdConfig(main, systemOf(files), null)
  const of = (name: string) => {
    const found = configCases.find((each) => each.name === name)
    if (found === undefined) throw new Error(name)
    return found
  }

  it('uses a directory that every version reads', () => {
    expect(unknown(of('version 2 with the old section'))).toMatchObject({
      configPaths: ['/etc/containerd/certs.d'],
      findings: [],
    })
  })

  it('ignores a directory that only some versions read, and reports what each version reads', () => {
    expect(unknown(of('two directories in version 2'))).toMatchObject({
      configPaths: [],
      findings: [
        'what containerd reads depends on its version, which is not known (use --target-version): 1.7: /etc/containerd/certs.d, /etc/containerd/other; 2.0: /etc/containerd/certs.d, /etc/containerd/other; 2.1: no directory; 2.2: no directory; 2.3: no directory',
      ],
    })
  })
})

describe('a finding', () => {
  const findingsOf = (version: string, name: string) =>
    configCases
      .filter((each) => each.name === name)
      .flatMap((each) => configAs(version, each).findings)

  it.each([
    ['2.1', 'two directories in version 2', 'takes it for one directory'],
    ['2.1', 'no file', 'config_path is not set, and containerd 2.1 has no default'],
    ['2.4', 'no file', 'takes its default, /etc/containerd/certs.d:/etc/docker/certs.d, for one'],
    ['2.1', 'version 3 with the old section', 'ignores, because the configuration has version 3'],
    ['1.7', 'no version with the old section', 'ignores, because the configuration has no version'],
    [
      '1.7',
      'version 3 with the new section',
      'the newest that it reads is 2; containerd 1.7 does not start',
    ],
    ['2.4', 'the CRI service disabled', 'does not serve the kubelet'],
  ])('for containerd %s says why nothing is read: %s', (version, name, text) => {
    expect(findingsOf(version, name)).toEqual([expect.stringContaining(text)])
  })
})
