/** Reads the `fallback` rows of the config: compiles patterns and templates, and checks names and tags. */
import { compilePattern, type ImagePattern } from '../decision/fallback/image-pattern.ts'
import { compileTemplate } from '../decision/fallback/image-template.ts'
import type { FallbackRow } from '../decision/fallback/table.ts'
import { isTag, parseReference } from '../decision/reference/parse.ts'
import type { PathPart, ReportProblem } from './problem.ts'
import type { ConfigInput } from './schema.ts'

type RowInput = ConfigInput['fallback'][number]

/** Returns the rows, without the patterns and templates that are invalid. */
export function readRows(inputs: readonly RowInput[], report: ReportProblem): FallbackRow[] {
  const names = new Set<string>()
  return inputs.map((input, index) => {
    const path = ['fallback', index]
    if (names.has(input.name))
      report(
        'error',
        [...path, 'name'],
        `an earlier row has the name ${input.name}; give each row its own name`,
      )
    names.add(input.name)
    for (const [from, to] of Object.entries(input.tags)) {
      for (const tag of [from, to])
        if (!isTag(tag)) report('error', [...path, 'tags', from], `"${tag}" is not a valid tag`)
    }
    return {
      name: input.name,
      images: readPatterns(input.images, [...path, 'images'], report),
      tags: new Map(Object.entries(input.tags)),
      try: input.try.flatMap((text, position) => {
        const result = compileTemplate(text)
        if (result.ok) return [result.template]
        report('error', [...path, 'try', position], result.message)
        return []
      }),
      otherwise: input.otherwise,
      alternates: input.alternates,
    }
  })
}

/** Returns the compiled patterns of a list, without those that are invalid. */
export function readPatterns(
  texts: readonly string[],
  path: readonly PathPart[],
  report: ReportProblem,
): ImagePattern[] {
  return texts.flatMap((text, index) => {
    const result = compilePattern(text)
    if (!result.ok) {
      report('error', [...path, index], result.message)
      return []
    }
    if (result.fullForm !== null)
      report('warning', [...path, index], `${text} means ${result.fullForm}; write the full form`)
    return [result.pattern]
  })
}

/** Warns about `anubis/app` in a config with the registry `anubis:32000`: without a port it is a Docker Hub user. */
export function warnAboutMissingPorts(
  rows: readonly FallbackRow[],
  hosts: Iterable<string>,
  report: ReportProblem,
): void {
  const hostByName = new Map([...hosts].map((host) => [host.replace(/:[0-9]+$/, ''), host]))
  for (const [rowIndex, row] of rows.entries()) {
    for (const [index, { text, literal }] of row.images.entries()) {
      const [user = ''] = text.split('/', 1)
      const host = hostByName.get(user)
      if (literal === null || host === undefined || host === user || !parseReference(text).ok)
        continue
      report(
        'warning',
        ['fallback', rowIndex, 'images', index],
        `${user} has no port, so it is a Docker Hub user; did you mean ${host}${text.slice(user.length)}?`,
      )
    }
  }
}
