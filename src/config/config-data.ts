/** A config as plain data, which a worker thread can hand over: functions and URLs cannot be copied between threads. */
import type { RegistrySettings } from '../registry/http/registry-settings.ts'
import { compileConfig, compileRowsInTurns } from './compile-config.ts'
import type { Config } from './config.ts'
import type { ValidConfig } from './load.ts'
import type { ConfigInput } from './schema.ts'

type PlainRegistry = Omit<RegistrySettings, 'endpoint' | 'nodeEndpoint'> & {
  readonly endpoint: string
  readonly nodeEndpoint: string | null
}

export interface ConfigData extends Pick<Config, 'source' | 'lock' | 'tests' | 'warnings'> {
  readonly input: ConfigInput
  readonly registries: readonly PlainRegistry[]
}

export function toData({ config, input }: ValidConfig): ConfigData {
  const { source, lock, tests, warnings } = config
  const registries = [...config.registries.values()].map((settings) => ({
    ...settings,
    endpoint: settings.endpoint.href,
    nodeEndpoint: settings.nodeEndpoint?.href ?? null,
  }))
  return { input, registries, source, lock, tests, warnings }
}

/** Compiles the config again, without reading a file. A config that was loaded has no problems. */
export async function fromData(data: ConfigData, directory: string): Promise<Config> {
  const { input, source, lock, tests, warnings } = data
  const registries = new Map(data.registries.map((plain) => [plain.host, registryOf(plain)]))
  const rows = await compileRowsInTurns(input)
  const report = () => undefined
  const compiled = compileConfig({ input, rows, registries, lock, directory, report })
  return Object.freeze({ ...compiled, source, tests, warnings })
}

function registryOf({ endpoint, nodeEndpoint, ...settings }: PlainRegistry): RegistrySettings {
  return {
    ...settings,
    endpoint: new URL(endpoint),
    ...(nodeEndpoint !== null && { nodeEndpoint: new URL(nodeEndpoint) }),
  }
}
