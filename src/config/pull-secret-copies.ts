/** Reads `pullSecretCopies` of the config: checks sources, and compiles the selectors. */
import { hasWildcard } from '../decision/fallback/glob.ts'
import { matchesSelector } from '../decision/labels/label-selector.ts'
import type { Config } from './config.ts'
import {
  type CopySettings,
  excludedNamespaces,
  type NameSelector,
  type SourceName,
} from './copy-settings.ts'
import type { PathPart, ReportProblem } from './problem.ts'
import type { ConfigInput } from './schema.ts'
import { readNameGlobs } from './when.ts'

type CopiesInput = ConfigInput['pullSecretCopies']
type SelectorInput = CopiesInput['copies'][number]['namespaces']

/** A DNS label and a DNS subdomain (apimachinery, validation.go). */
const sourcePattern = /^([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)\/([a-z0-9](?:[-.a-z0-9]*[a-z0-9])?)$/

/** Returns the copies. `addedSecrets` are the names that `pullSecrets` adds to pods. */
export function readCopies(
  input: CopiesInput,
  addedSecrets: ReadonlySet<string>,
  report: ReportProblem,
): Config['pullSecretCopies'] {
  const { copies, stuckPods, rbac, writesPerSecond } = input
  const names = new Set<string>()
  return {
    stuckPods,
    rbac,
    writesPerSecond,
    copies: copies.map((copy, index): CopySettings => {
      const path = ['pullSecretCopies', 'copies', index]
      const { name } = copy
      if (names.has(name))
        report(
          'error',
          [...path, 'name'],
          `an earlier entry has the name ${name}; merge the two entries`,
        )
      names.add(name)
      // OpenShift's controller creates secrets with such names, and counts them in service accounts.
      if (name.includes('-dockercfg-'))
        report(
          'error',
          [...path, 'name'],
          `OpenShift uses names with -dockercfg-, such as ${name}, for its own secrets; choose another name`,
        )
      const namespaces = readSelector(copy.namespaces, [...path, 'namespaces'], report)
      // A new namespace has no service account with the copy yet, so only pods that name it use it.
      if (copy.ensure && !addedSecrets.has(name))
        report(
          'warning',
          [...path, 'ensure'],
          `\`ensure\` only works for pods that list ${name} in imagePullSecrets; also add ${name} to \`pullSecrets\``,
        )
      checkNamespaces(namespaces, { rbac, path: [...path, 'namespaces'] }, report)
      return {
        name,
        from: copy.from.flatMap((text, position) =>
          readSource(text, [...path, 'from', position], report),
        ),
        namespaces,
        serviceAccounts: readSelector(copy.serviceAccounts, [...path, 'serviceAccounts'], report),
        type: copy.type,
        ensure: copy.ensure,
      }
    }),
  }
}

function readSource(text: string, path: readonly PathPart[], report: ReportProblem): SourceName[] {
  const [, namespace, name] = sourcePattern.exec(text) ?? []
  if (namespace !== undefined && name !== undefined) return [{ namespace, name }]
  report('error', path, `"${text}" is not the source of a copy; write NAMESPACE/NAME`)
  return []
}

function checkNamespaces(
  { literalNames, exactNames }: NameSelector,
  { rbac, path }: { readonly rbac: CopiesInput['rbac']; readonly path: readonly PathPart[] },
  report: ReportProblem,
): void {
  const excluded = literalNames.find((name) => excludedNamespaces.has(name))
  if (excluded !== undefined)
    report(
      'error',
      path,
      `Berth does not copy secrets to namespaces of the control plane; remove ${excluded}`,
    )
  if (rbac === 'namespaced' && exactNames === null)
    report(
      'error',
      path,
      '`rbac: namespaced` allows neither globs nor a label selector; list the full name of each namespace',
    )
}

function readSelector(
  input: SelectorInput,
  path: readonly PathPart[],
  report: ReportProblem,
): NameSelector {
  const isList = Array.isArray(input)
  const names = isList ? input : input.names
  const labels = isList ? null : input.selector
  const globs = readNameGlobs(names, isList ? path : [...path, 'names'], report)
  const literals = names.filter((name) => !hasWildcard(name))
  return {
    matches: (name, objectLabels) =>
      globs.some(({ matches }) => matches(name)) &&
      (labels === null || matchesSelector(labels, objectLabels)),
    exactNames: labels === null && literals.length === names.length ? names : null,
    literalNames: labels === null ? literals : [],
  }
}
