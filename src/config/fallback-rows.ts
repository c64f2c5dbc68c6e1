/** Reads the `fallback` rows of the config: compiles patterns and templates, and checks names and tags. */
import { compileTagGlob } from '../decision/fallback/glob.ts'
import { compilePattern, type ImagePattern } from '../decision/fallback/image-pattern.ts'
import {
  compileTemplate,
  type ImageTemplate,
  type ImageTemplateResult,
} from '../decision/fallback/image-template.ts'
import type { IsPlainHttp } from '../decision/fallback/registry-aliases.ts'
import type { FallbackRow, RowPin } from '../decision/fallback/table.ts'
import { isTag, parseReference } from '../decision/reference/parse.ts'
import type { PathPart, ReportProblem } from './problem.ts'
import type { ConfigInput } from './schema.ts'
import { readWhen } from './when.ts'

type RowInput = ConfigInput['fallback'][number]

/** Returns the rows, without the patterns and templates that are invalid. */
export function readRows(
  inputs: readonly RowInput[],
  report: ReportProblem,
  isPlainHttp: IsPlainHttp,
): FallbackRow[] {
  const names = new Set<string>()
  // Most rows of a long table have the same templates.
  const templates = new Map<string, ImageTemplateResult>()
  const compile = (text: string) => {
    const known = templates.get(text) ?? compileTemplate(text)
    templates.set(text, known)
    return known
  }
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
    if (input.leave) reportUselessKeys(input, path, report)
    else if (input.try === undefined)
      report('error', path, 'the row has neither `try` nor `leave: true`; add one of them')
    if (input.images === undefined && input.when === undefined)
      report('error', path, 'the row has neither `images` nor `when`; add one of them')
    return {
      name: input.name,
      when: readWhen(input.when, [...path, 'when'], report),
      images: readPatterns(input.images ?? ['**'], [...path, 'images'], report, isPlainHttp),
      leave: input.leave,
      tags: new Map(Object.entries(input.tags)),
      try: readTemplates(input.try ?? [], compile, [...path, 'try'], report),
      otherwise: input.otherwise,
      alternates: input.alternates,
      platforms: input.platforms ?? null,
      pin: readRowPin(input.pin, [...path, 'pin'], report),
      isKnownConflict: false,
    }
  })
}

/** Reports keys that a row with `leave: true` must not have. */
function reportUselessKeys(
  { tags, try: templates, otherwise, alternates, platforms, pin }: RowInput,
  path: readonly PathPart[],
  report: ReportProblem,
): void {
  const keys = {
    try: templates !== undefined,
    tags: Object.keys(tags).length > 0,
    otherwise: otherwise !== 'keep',
    alternates: alternates !== 'tag',
    platforms: platforms !== undefined,
    pin: pin !== undefined,
  }
  for (const [key, isGiven] of Object.entries(keys)) {
    const message = `the row has \`leave: true\`, which leaves its images unchanged; remove \`${key}\`, or remove \`leave\``
    if (isGiven) report('error', [...path, key], message)
  }
}

function readTemplates(
  texts: readonly string[],
  compile: typeof compileTemplate,
  path: readonly PathPart[],
  report: ReportProblem,
): ImageTemplate[] {
  return texts.flatMap((text, index) => {
    const result = compile(text)
    if (result.ok) return [result.template]
    report('error', [...path, index], result.message)
    return []
  })
}

function readRowPin(
  input: RowInput['pin'],
  path: readonly PathPart[],
  report: ReportProblem,
): RowPin | null {
  if (input === undefined) return null
  if (input === false) return 'off'
  const { tags, unresolved } = input
  return {
    matches: tags === undefined ? null : readTagGlobs(tags, [...path, 'tags'], report),
    unresolved: unresolved ?? null,
  }
}

/** Returns a function that tells whether a tag matches one of the globs. */
export function readTagGlobs(
  globs: readonly string[],
  path: readonly PathPart[],
  report: ReportProblem,
): (tag: string) => boolean {
  const matchers = globs.flatMap((glob, index) => {
    const matcher = compileTagGlob(glob)
    if (matcher !== null) return [matcher]
    const message = `"${glob}" is not a glob for tags; use letters, digits, \`_\`, \`.\`, \`-\` and the wildcards \`*\`, \`?\` and \`[…]\``
    report('error', [...path, index], message)
    return []
  })
  return (tag) => matchers.some((matches) => matches(tag))
}

/** Returns the compiled patterns of a list, without those that are invalid. */
export function readPatterns(
  texts: readonly string[],
  path: readonly PathPart[],
  report: ReportProblem,
  isPlainHttp?: IsPlainHttp,
): ImagePattern[] {
  return texts.flatMap((text, index) => {
    const result = compilePattern(text, isPlainHttp)
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
