/** The private CAs of a host table, for formats that configure TLS for each registry and not for each mirror. */
import { compareText } from '../../text/compare.ts'
import type { HostEntry } from './host-table.ts'

/** Returns each authority (`host` or `host:port`) with its CA as PEM, sorted. */
export function caByAuthority(entries: readonly HostEntry[]): (readonly [string, string])[] {
  const registries = entries.flatMap(({ mirrors, upstream }) => [
    ...mirrors.map(({ registry }) => registry),
    ...(upstream === null || upstream === 'any' ? [] : [upstream]),
  ])
  const authorities = new Map(
    registries.flatMap(({ authority, ca }) => (ca === null ? [] : [[authority, ca] as const])),
  )
  return [...authorities].sort(([a], [b]) => compareText(a, b))
}
