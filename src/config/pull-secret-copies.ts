/** From `pullSecretCopies` to what propagation works with. */
import { compileTagGlob } from '../decision/fallback/image-pattern.ts'
import { matchesSelector } from '../decision/labels/label-selector.ts'
import {
  type NameSelector,
  type CopySettings,
  excludedNamespaces,
  type SourceName,
} from './copy-settings.ts'
import type { Config } from './config.ts'
import type { PathPart } from './yaml-document.ts'
import type { ReportProblem } from './registries.ts'
import type { ConfigInput } from './schema.ts'

type CopiesInput = ConfigInput['pullSecretCopies']
type CopyInput = CopiesInput['copies'][number]
type ChoiceInput = CopyInput['namespaces']

/** The two names, DNS labels and subdomains (apimachinery, validation.go). */
const sourceName = /^([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)\/([a-z0-9](?:[-.a-z0-9]*[a-z0-9])?)$/

/** Checks what the copies mean together, and with `added`: the names of secrets that Berth adds to pods. */
export function readCopies(
  input: CopiesInput,
  added: ReadonlySet<string>,
  report: ReportProblem,
): Config['pullSecretCopies'] {
  const { copies, stuckPods, rbac } = input
  const seen = new Set<string>()
  return {
    stuckPods,
    rbac,
    copies: copies.map((copy, index): CopySettings => {
      const path = ['pullSecretCopies', 'copies', index]
      const { name } = copy
      if (seen.has(name))
        report(
          'error',
          [...path, 'name'],
          `${name} is copied already by an earlier entry; join the two`,
        )
      seen.add(name)
      // OpenShift's controller makes secrets of such names, and counts those that a service account has.
      if (name.includes('-dockercfg-'))
        report(
          'error',
          [...path, 'name'],
          `${name} is a name that OpenShift gives to its own; take another`,
        )
      const namespaces = readChoice(copy.namespaces, [...path, 'namespaces'], report)
      // In a namespace that has just been made no service account names the copy yet.
      if (copy.ensure && !added.has(name))
        report(
          'warning',
          [...path, 'ensure'],
          `helps only pods that name ${name} themselves; name it under \`pullSecrets\` too`,
        )
      reportNamespaces(namespaces, { rbac, path: [...path, 'namespaces'] }, report)
      return {
        name,
        from: copy.from.flatMap((text, at) => readSource(text, [...path, 'from', at], report)),
        namespaces,
        serviceAccounts: readChoice(copy.serviceAccounts, [...path, 'serviceAccounts'], report),
        type: copy.type,
        ensure: copy.ensure,
      }
    }),
  }
}

function readSource(text: string, path: readonly PathPart[], report: ReportProblem): SourceName[] {
  const [, namespace, name] = sourceName.exec(text) ?? []
  if (namespace !== undefined && name !== undefined) return [{ namespace, name }]
  report('error', path, `${text} is no source; write NAMESPACE/NAME`)
  return []
}

function reportNamespaces(
  { named, literal }: NameSelector,
  { rbac, path }: { readonly rbac: CopiesInput['rbac']; readonly path: readonly PathPart[] },
  report: ReportProblem,
): void {
  const excluded = named.find((name) => excludedNamespaces.has(name))
  if (excluded !== undefined)
    report('error', path, `has ${excluded}; nothing is copied to the control plane's namespaces`)
  if (rbac === 'namespaced' && literal === null)
    report('error', path, 'has globs or a selector; with `rbac: namespaced` write each name out')
}

function readChoice(
  input: ChoiceInput,
  path: readonly PathPart[],
  report: ReportProblem,
): NameSelector {
  const names = Array.isArray(input) ? input : input.names
  const selector = Array.isArray(input) ? null : input.selector
  const isLiteral = (text: string) => !/[*?[\]]/.test(text)
  const globs = names.flatMap((text, index) => {
    const place = Array.isArray(input) ? [...path, index] : [...path, 'names', index]
    if (isLiteral(text)) return [(name: string) => name === text]
    // Names have the characters of tags, in lower case.
    const glob = compileTagGlob(text)
    if (glob === null || text.toLowerCase() !== text) {
      report(
        'error',
        place,
        `${text} is no glob over names; they have lower-case letters, digits and \`-\``,
      )
      return []
    }
    return [glob]
  })
  return {
    matches: (name, labels) =>
      globs.some((matches) => matches(name)) &&
      (selector === null || matchesSelector(selector, labels)),
    literal: selector === null && names.every(isLiteral) ? names : null,
    named: selector === null ? names.filter(isLiteral) : [],
  }
}
