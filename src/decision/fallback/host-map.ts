/** A map by registry host that finds an entry by every spelling of its host. */
import { canonicalHost, type IsPlainHttp } from './registry-aliases.ts'

export interface HostMap<Value> extends ReadonlyMap<string, Value> {
  set(host: string, value: Value): this
}

/** Creates an empty map. It iterates over the hosts as they were written. */
export function createHostMap<Value>(isPlainHttp?: IsPlainHttp): HostMap<Value> {
  return new CanonicalHostMap(isPlainHttp)
}

class CanonicalHostMap<Value> extends Map<string, Value> {
  readonly #isPlainHttp: IsPlainHttp | undefined
  /** The hosts as written, by their canonical spelling. */
  readonly #written = new Map<string, string>()

  constructor(isPlainHttp: IsPlainHttp | undefined) {
    super()
    this.#isPlainHttp = isPlainHttp
  }

  override get(host: string): Value | undefined {
    return super.get(this.#find(host))
  }

  override has(host: string): boolean {
    return super.has(this.#find(host))
  }

  override set(host: string, value: Value): this {
    const written = this.#find(host)
    this.#written.set(canonicalHost(host, this.#isPlainHttp), written)
    return super.set(written, value)
  }

  /** Returns the host as it was written first. */
  #find(host: string): string {
    return this.#written.get(canonicalHost(host, this.#isPlainHttp)) ?? host
  }
}
