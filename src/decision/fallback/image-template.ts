/** Compiles and fills the `try` templates of the config, such as `anubis:32000/{host}/{path}`. */
import { parseReference } from '../reference/parse.ts'
import type { Reference } from '../reference/reference.ts'
import { hostComponent } from './host-component.ts'
import { hubHost } from './registry-aliases.ts'

const variables = ['host', 'path', 'rest', 'flat', 'name', 'namespace'] as const
type Variable = (typeof variables)[number]
type PathVariable = Exclude<Variable, 'host'>

export interface ImageTemplate {
  /** As written in the config, with a canonical host. */
  readonly text: string
  /** The host; null for `{host}`. */
  readonly host: string | null
  readonly variables: ReadonlySet<Variable>
}

export type ImageTemplateResult =
  | { readonly ok: true; readonly template: ImageTemplate }
  | { readonly ok: false; readonly message: string }

export interface TemplateInput {
  /** The canonical reference of the image that the pod has. */
  readonly reference: Reference
  /** The pod's namespace. */
  readonly namespace: string
}

const placeholder = /\{([^{}]*)\}/g

/** Compiles a template, or returns why it can never make an image. */
export function compileTemplate(written: string): ImageTemplateResult {
  // Aliases become the canonical host, so that a registry has one entry in the list of hosts to contact.
  const text = written.replace(/^[^/{}]+(?=\/)/, hubHost)
  const used = [...text.matchAll(placeholder)].map(([, name = '']) => name)
  const unknown = used.find((name) => !isVariable(name))
  if (unknown !== undefined)
    return failure(
      `unknown variable {${unknown}}; templates support {host}, {path}, {rest}, {flat}, {name} and {namespace}`,
    )
  if (text.includes('://'))
    return failure(
      'the template has a scheme; write only `host/path`, and the scheme in `endpoint` under `registries`',
    )
  const slash = text.indexOf('/')
  const host = text.slice(0, Math.max(slash, 0))
  const isVariableHost = host === '{host}'
  if (slash < 0 || !(isVariableHost || /[.:]/.test(host) || host === 'localhost'))
    return failure('the template does not begin with a host; write for example docker.io/{path}')
  if (!isVariableHost && host.includes('{'))
    return failure(
      'the host of the template mixes text and variables; write a full host name, or {host}',
    )
  const filled = text.replaceAll(placeholder, (_, name: string) => (name === 'host' ? 'a.b' : 'a'))
  const parsed = parseReference(filled)
  if (!parsed.ok) return failure(`the template can never make an image: ${parsed.message}`)
  const { domain, tag, digest } = parsed.reference
  if (domain === '')
    return failure(`the template can never make an image: \`${host}\` is not a valid host`)
  if (tag !== null || digest !== null)
    return failure(
      'the template has a tag or a digest; candidates keep those of the image. To map tags, use `tags`',
    )
  return {
    ok: true,
    template: {
      text,
      host: isVariableHost ? null : host,
      variables: new Set(used.filter(isVariable)),
    },
  }
}

/**
 * Returns the repository that the template makes. A path has the host of the image as one component (`hostComponent`). The
 * text may be invalid, for example too long, or because `{rest}` is empty for a path of one segment.
 */
export function renderTemplate(template: ImageTemplate, input: TemplateInput): string {
  return withHost(template, input.reference.domain).replaceAll(
    placeholder,
    (_, name: PathVariable) => valueOf(name, input),
  )
}

function valueOf(name: PathVariable, { reference: { path }, namespace }: TemplateInput): string {
  switch (name) {
    case 'path':
      return path
    case 'rest':
      return path.includes('/') ? path.slice(path.indexOf('/') + 1) : ''
    case 'flat':
      return path.replaceAll('/', '-')
    case 'name':
      return path.slice(path.lastIndexOf('/') + 1)
    case 'namespace':
      return namespace
  }
}

/** Returns the text of the template with the host of the image: as it is at the beginning, and as a component in the path. */
export function withHost(
  { text, host }: Pick<ImageTemplate, 'text' | 'host'>,
  domain: string,
): string {
  const fill = (part: string) => part.replaceAll('{host}', hostComponent(domain))
  return host === null ? domain + fill(text.slice('{host}'.length)) : fill(text)
}

function isVariable(name: string): name is Variable {
  return (variables as readonly string[]).includes(name)
}

function failure(message: string): ImageTemplateResult {
  return { ok: false, message }
}
