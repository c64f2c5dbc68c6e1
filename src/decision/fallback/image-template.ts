/** The right-hand side of the table: how a `try` makes one name from another. */
import { parseReference } from '../reference/parse.ts'
import { canonicalHost } from './registry-aliases.ts'
import type { Reference } from '../reference/reference.ts'

export interface ImageTemplate {
  /** As written. */
  readonly text: string
  /** The host, when it stands there literally; null for `{host}`. */
  readonly host: string | null
  readonly variables: ReadonlySet<Variable>
}

const variables = ['host', 'path', 'name', 'namespace'] as const
type Variable = (typeof variables)[number]

export type ImageTemplateResult =
  | { readonly ok: true; readonly template: ImageTemplate }
  | { readonly ok: false; readonly message: string }

/** What a template is filled with: the repository that was asked for, and the pod's namespace. */
export interface TemplateInput {
  readonly reference: Reference
  readonly namespace: string
}

const placeholder = /\{([^{}]*)\}/g

/** Reads a template such as `anubis:32000/{host}/{path}`, or says what is wrong with it. */
export function compileTemplate(written: string): ImageTemplateResult {
  // One registry has one name from here on; what is contacted is decided by it.
  const text = written.replace(/^[^/{}]+(?=\/)/, canonicalHost)
  const used = [...text.matchAll(placeholder)].map(([, name = '']) => name)
  const unknown = used.find((name) => !isVariable(name))
  if (unknown !== undefined) {
    return {
      ok: false,
      message: `has {${unknown}}; templates know {host}, {path}, {name} and {namespace}`,
    }
  }
  if (text.includes('://'))
    return {
      ok: false,
      message: 'has a scheme; write only `host/path`, and the scheme under `registries`',
    }
  const slash = text.indexOf('/')
  const first = text.slice(0, Math.max(slash, 0))
  if (slash < 0 || (first !== '{host}' && !/[.:]/.test(first) && first !== 'localhost')) {
    return {
      ok: false,
      message: 'does not begin with a host; write `host/…`, for example docker.io/{path}',
    }
  }
  if (first !== '{host}' && first.includes('{')) {
    return { ok: false, message: 'builds a host from parts; a host is written out, or is {host}' }
  }
  const filled = text.replaceAll(placeholder, (_, name: string) => (name === 'host' ? 'a.b' : 'a'))
  const parsed = parseReference(filled)
  if (!parsed.ok) return { ok: false, message: `can never be an image name: ${parsed.message}` }
  if (parsed.reference.domain === '')
    return { ok: false, message: `can never be an image name: ${first} is no host name` }
  if (parsed.reference.tag !== null || parsed.reference.digest !== null) {
    return {
      ok: false,
      message: 'has a tag or digest; they travel with the image, and tags are mapped with `tags`',
    }
  }
  return {
    ok: true,
    template: {
      text,
      host: first === '{host}' ? null : first,
      variables: new Set(used.filter(isVariable)),
    },
  }
}

/** Fills a template in. The result is text: whether it is a valid name depends on what went in, and is for the caller to see. */
export function renderTemplate(
  template: ImageTemplate,
  { reference, namespace }: TemplateInput,
): string {
  const values: Record<Variable, string> = {
    host: reference.domain,
    path: reference.path,
    name: reference.path.slice(reference.path.lastIndexOf('/') + 1),
    namespace,
  }
  return template.text.replaceAll(placeholder, (_, name: Variable) => values[name])
}

function isVariable(name: string): name is Variable {
  return (variables as readonly string[]).includes(name)
}
