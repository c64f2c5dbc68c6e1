/** From the text of a config file to a frozen Config, or to every problem that it has, each with line and column. */
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { createKeyMatcher, isUsableKey } from '../credentials/docker-config-keys.ts'
import { BerthError } from '../errors.ts'
import { canonicalHost } from '../decision/fallback/registry-aliases.ts'
import {
  compilePattern,
  compileTagGlob,
  type ImagePattern,
} from '../decision/fallback/image-pattern.ts'
import { lintTable } from '../decision/fallback/lint.ts'
import { createTable, type FallbackRow, type FallbackTable } from '../decision/fallback/table.ts'
import { compileTemplate, type ImageTemplate } from '../decision/fallback/image-template.ts'
import { isTag, parseReference } from '../decision/reference/parse.ts'
import { lockedDigest } from '../decision/lock/image-lock.ts'
import type { Config } from './config.ts'
import { readCopies } from './pull-secret-copies.ts'
import { type PathPart, parseYamlDocument } from './yaml-document.ts'
import { readEcrTokens } from './ecr.ts'
import { readLockFile } from './lock-file.ts'
import { formatProblem, type ConfigProblem } from './problem.ts'
import { readMirrorImages } from './mirror.ts'
import { readRegistries, type ReportProblem } from './registries.ts'
import { configSchema, type ConfigInput } from './schema.ts'

export type ReadResult =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] }

/** Reads a config file. Throws `config-unreadable`, or `config-invalid` with one line for each problem. */
export function loadConfig(file: string): Config {
  const result = readConfig(readConfigFile(file), dirname(file))
  if (result.ok) return result.config
  const lines = result.problems.map((problem) => formatProblem(file, problem))
  throw new BerthError('config-invalid', `${file} has errors\n${lines.join('\n')}`)
}

/** The text of a config file. Throws `config-unreadable`. */
export function readConfigFile(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new BerthError(
      'config-unreadable',
      `${file} cannot be read: ${code}; give the config file with --config FILE`,
      { cause },
    )
  }
}

/** Checks a config's text. Files that it names are found from `directory`. */
export function readConfig(text: string, directory: string): ReadResult {
  const document = parseYamlDocument(text)
  if (document.problems.length > 0) return { ok: false, problems: document.problems }
  if (document.value === null || document.value === undefined) {
    return {
      ok: false,
      problems: [
        document.problemAt(
          'error',
          [],
          'the file is empty; begin with apiVersion: berth.dev/v1alpha1',
        ),
      ],
    }
  }
  const shaped = configSchema.safeParse(document.value)
  if (!shaped.success) {
    const problems = shaped.error.issues.flatMap((issue) =>
      issue.code === 'unrecognized_keys'
        ? issue.keys.map((key) =>
            document.problemAt('error', [...(issue.path as PathPart[]), key], issue.message),
          )
        : [document.problemAt('error', issue.path as PathPart[], describeIssue(issue))],
    )
    return { ok: false, problems }
  }
  const problems: ConfigProblem[] = []
  const report: ReportProblem = (severity, path, message) =>
    problems.push(document.problemAt(severity, path, message))
  const config = build(shaped.data, directory, report)
  const errors = problems.filter(({ severity }) => severity === 'error')
  if (errors.length > 0) return { ok: false, problems }
  const tests = config.tests.map((test, index) => {
    const { line, column } = document.problemAt('warning', ['tests', index, 'image'], '')
    return { ...test, line, column }
  })
  return { ok: true, config: Object.freeze({ ...config, tests, source: text, warnings: problems }) }
}

const typeNames: Readonly<Record<string, string>> = {
  array: 'a list',
  object: 'a map',
  record: 'a map',
  string: 'text',
  number: 'a number',
  boolean: 'true or false',
}

function describeIssue(issue: { readonly code?: string; readonly message: string }): string {
  const [, want = '', got = ''] =
    /^Invalid input: expected (\w+), received (\w+)$/.exec(issue.message) ?? []
  if (want !== '') {
    const wanted = typeNames[want] ?? want
    if (got === 'undefined') return `is missing; it is ${wanted}`
    return `is ${got === 'null' ? 'empty' : (typeNames[got] ?? got)}, and should be ${wanted}`
  }
  if (issue.message.startsWith('Too small: expected')) return 'is empty; it needs at least one'
  const [, choices = ''] = /^Invalid option: expected one of (.+)$/.exec(issue.message) ?? []
  return choices === ''
    ? issue.message
    : `is not one of ${choices.replaceAll('"', '').replaceAll('|', ', ')}`
}

function build(
  input: ConfigInput,
  directory: string,
  report: ReportProblem,
): Omit<Config, 'source' | 'warnings' | 'tests'> & Pick<ConfigInput, 'tests'> {
  for (const [index, { registries: keys }] of input.pullSecrets.entries()) {
    for (const [position, key] of keys.entries()) {
      const fault = keyFault(key)
      if (fault !== null) report('error', ['pullSecrets', index, 'registries', position], fault)
    }
  }
  const rows = input.fallback.map((row, index) => readRow(row, index, report))
  reportDoubleNames(input, report)
  const registries = readRegistries(
    input.registries,
    rows.flatMap((row) => row.try),
    { directory, report },
  )
  const mirrors = new Set(
    [...registries.values()].filter(({ mirror }) => mirror).map(({ host }) => host),
  )
  const table = createTable(rows, mirrors)
  for (const { severity, row, part, index, message } of lintTable(table)) {
    report(
      severity,
      part === 'otherwise' ? ['fallback', row, part] : ['fallback', row, part, index],
      message,
    )
  }
  hintAtUsers(table, registries.keys(), report)
  const lock = readLockFile(input.pin.lock, { directory, report })
  return {
    registries,
    table,
    pin: {
      matches: readTagGlobs(input.pin.tags, report),
      unresolved: input.pin.unresolved,
      locked: (reference) => (lock === null ? null : lockedDigest(lock.images, reference)),
    },
    lock,
    pullPolicy: input.pullPolicy.map(({ images, set }, index) => ({
      images: readPatterns(images, ['pullPolicy', index, 'images'], report),
      set,
    })),
    pullSecrets: input.pullSecrets.map(({ registries: keys, secret }) => {
      const find = createKeyMatcher(keys)
      return { secret, matches: ({ domain, path }) => find(domain, path).length > 0 }
    }),
    ecrTokens: readEcrTokens(input.ecrTokens, { registries, directory, report }),
    pullFailures: input.pullFailures,
    workloads: input.workloads.map(({ kind, pod, images }) => ({
      kind,
      pod: pod === undefined ? null : memberPath(pod),
      images: images.map(memberPath),
    })),
    mirror: { ...input.mirror, images: readMirrorImages(input, report) },
    pullSecretCopies: readCopies(
      input.pullSecretCopies,
      new Set(input.pullSecrets.map(({ secret }) => secret)),
      report,
    ),
    mode: input.mode,
    tests: input.tests,
  }
}

/** `spec.steps[].image` as `spec`, `steps`, `[]`, `image`. */
function memberPath(text: string): string[] {
  return text.replaceAll('[]', '.[]').split('.')
}

/** A key of a pull secret that a kubelet would never find an image for. */
function keyFault(key: string): string | null {
  const [host = ''] = key.replace(/^https?:\/\//, '').split('/', 1)
  const isHost = URL.canParse(`https://${host.replaceAll('*', 'a')}`) && !/[?#]/.test(host)
  if (host === '' || !isHost || !isUsableKey(key)) {
    return `${key} is no registry; write HOST, HOST:PORT or HOST/PATH`
  }
  if (canonicalHost(host) !== host && host !== 'index.docker.io')
    return `${host} is a key that no kubelet uses for Docker Hub; write ${canonicalHost(host)}`
  return /[.:*]/.test(host) || host === 'localhost'
    ? null
    : `${host} has no dot and no port, so it is the host of no image; write ${host}:PORT`
}

function readRow(
  row: ConfigInput['fallback'][number],
  index: number,
  report: ReportProblem,
): FallbackRow {
  for (const [from, to] of Object.entries(row.tags)) {
    if (!isTag(from))
      report('error', ['fallback', index, 'tags', from], 'is no tag')
    if (!isTag(to))
      report('error', ['fallback', index, 'tags', from], `maps to ${to}, which is no tag`)
  }
  const templates = row.try.map((text, position): ImageTemplate | null => {
    const result = compileTemplate(text)
    if (result.ok) return result.template
    report('error', ['fallback', index, 'try', position], result.message)
    return null
  })
  return {
    name: row.name,
    images: readPatterns(row.images, ['fallback', index, 'images'], report),
    tags: new Map(Object.entries(row.tags)),
    try: templates.filter((template) => template !== null),
    otherwise: row.otherwise,
    alternates: row.alternates,
  }
}

function readPatterns(
  texts: readonly string[],
  path: readonly PathPart[],
  report: ReportProblem,
): ImagePattern[] {
  return texts.flatMap((text, index) => {
    const result = compilePattern(text)
    if (!result.ok) report('error', [...path, index], result.message)
    else if (result.note !== null)
      report('warning', [...path, index], `${result.note}; write it in full`)
    return result.ok ? [result.pattern] : []
  })
}

function readTagGlobs(globs: readonly string[], report: ReportProblem): (tag: string) => boolean {
  const matchers = globs.flatMap((glob, index) => {
    const matcher = compileTagGlob(glob)
    if (matcher === null)
      report(
        'error',
        ['pin', 'tags', index],
        'is no glob over tags; tags have letters, digits, `_`, `.` and `-`',
      )
    return matcher === null ? [] : [matcher]
  })
  return (tag) => matchers.some((matches) => matches(tag))
}

function reportDoubleNames({ fallback }: ConfigInput, report: ReportProblem): void {
  const seen = new Set<string>()
  for (const [index, { name }] of fallback.entries()) {
    if (seen.has(name))
      report(
        'error',
        ['fallback', index, 'name'],
        `${name} is the name of an earlier row; rows are told apart by it`,
      )
    seen.add(name)
  }
}

/** `anubis/app` is a Docker Hub user, and next to a registry anubis:32000 it is nearly always a slip. */
function hintAtUsers(
  { rows }: FallbackTable,
  hosts: Iterable<string>,
  report: ReportProblem,
): void {
  const byName = new Map([...hosts].map((host) => [host.replace(/:[0-9]+$/, ''), host]))
  for (const [index, row] of rows.entries()) {
    for (const [position, { text, literal }] of row.images.entries()) {
      const host = byName.get(text.split('/', 1)[0] ?? '')
      if (
        literal === null ||
        host === undefined ||
        host === text.split('/', 1)[0] ||
        !parseReference(text).ok
      )
        continue
      report(
        'warning',
        ['fallback', index, 'images', position],
        `has no port, so it is a Docker Hub user; did you mean ${host}/${text.slice(text.indexOf('/') + 1)}?`,
      )
    }
  }
}
