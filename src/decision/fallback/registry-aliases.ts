import { defaultDomain, officialNamespace, type Reference } from '../reference/reference.ts'

/** Other names of one registry. `index.docker.io` is Docker Hub to every parser, `registry-1.docker.io` is where it answers. */
const aliases: ReadonlyMap<string, string> = new Map([
  ['index.docker.io', defaultDomain],
  ['registry-1.docker.io', defaultDomain],
])

/** The usual name of the registry that this host is. */
export function canonicalHost(host: string): string {
  return aliases.get(host) ?? host
}

/** The reference under its registry's usual name, as patterns and templates see it. What a pod holds is not changed by it. */
export function canonicalReference(reference: Reference): Reference {
  const domain = aliases.get(reference.domain)
  if (domain === undefined) return reference
  const { path } = reference
  return { ...reference, domain, path: path.includes('/') ? path : officialNamespace + path }
}
