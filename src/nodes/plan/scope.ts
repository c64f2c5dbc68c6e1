/** The set of images that a pattern matches, in terms that node files have: a host, a path prefix, or one repository. */
import type { ImagePattern } from '../../decision/fallback/image-pattern.ts'
import { defaultDomain } from '../../decision/reference/reference.ts'

export type ImageScope =
  | { readonly kind: 'host'; readonly host: string }
  | { readonly kind: 'prefix' | 'repository'; readonly host: string; readonly path: string }
  /** Every host below a domain, without the domain itself. */
  | { readonly kind: 'subdomains'; readonly domain: string }
  | { readonly kind: 'everything' }

const wildcard = /[*?[\]]/

/** Returns null for a pattern that is not such a set, for example `ghcr.io/*-dev/**`. */
export function scopeOf(pattern: ImagePattern): ImageScope | null {
  const { host, path, literal, text } = pattern
  if (host === null) return hostlessScope(text)
  if (literal !== null) return { kind: 'repository', host, path }
  // A repository of Docker Hub has two segments, so a trailing `*` means the same as `**`.
  const widened = host === defaultDomain ? path.replace(/(^|\/)\*$/, '$1**') : path
  if (widened === '**' || (host === defaultDomain && widened === '*/**'))
    return { kind: 'host', host }
  const prefix = widened.endsWith('/**') ? widened.slice(0, -3) : null
  return prefix === null || wildcard.test(prefix) ? null : { kind: 'prefix', host, path: prefix }
}

function hostlessScope(text: string): ImageScope | null {
  if (text === '**' || text === '*/**' || text === '**/**') return { kind: 'everything' }
  const [, domain = ''] = /^\*\.([^*?[\]/:]+)\/\*\*$/.exec(text) ?? []
  return domain === '' ? null : { kind: 'subdomains', domain }
}

/** True if `outer` contains every image of `inner`. */
export function covers(outer: ImageScope, inner: ImageScope): boolean {
  if (outer.kind === 'everything') return true
  if (inner.kind === 'everything') return false
  if (outer.kind === 'subdomains') {
    const name = inner.kind === 'subdomains' ? inner.domain : inner.host
    return (
      name.endsWith(`.${outer.domain}`) || (inner.kind === 'subdomains' && name === outer.domain)
    )
  }
  if (inner.kind === 'subdomains' || outer.host !== inner.host) return false
  if (outer.kind === 'host') return true
  if (inner.kind === 'host') return false
  if (outer.path === inner.path) return outer.kind === 'prefix' || inner.kind === 'repository'
  return outer.kind === 'prefix' && inner.path.startsWith(`${outer.path}/`)
}

/** Returns the scope as a prefix of image names: `docker.io`, `ghcr.io/acme`, `*.example.com`; empty for everything. */
export function prefixOf(scope: ImageScope): string {
  if (scope.kind === 'everything') return ''
  if (scope.kind === 'subdomains') return `*.${scope.domain}`
  return scope.kind === 'host' ? scope.host : `${scope.host}/${scope.path}`
}
