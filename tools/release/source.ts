/** Reads what is released: the version, the commit and its date. Refuses sources from which the release could not be built again. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'

export interface Source {
  readonly version: string
  readonly commit: string
  /** The date of the commit, or SOURCE_DATE_EPOCH (reproducible-builds.org). Every time in an artifact is this one. */
  readonly date: Date
  /** The tags of the commit. */
  readonly tags: readonly string[]
  /** True with changes that are not committed, and with files that git ignores in directories that are released as they are. */
  readonly isDirty: boolean
}

/** Their files are copied into artifacts. */
const copiedDirectories = ['deploy', 'docs', 'webhook-config']

/** Returns what git and package.json say about a checkout. Throws if it is not a git repository. */
export function readSource(root: string, env: NodeJS.ProcessEnv): Source {
  const git = (...args: string[]) =>
    execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim()
  const seconds = Number(env['SOURCE_DATE_EPOCH'] ?? git('log', '-1', '--format=%ct'))
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Source
  return {
    version,
    commit: git('rev-parse', 'HEAD'),
    date: new Date(seconds * 1_000),
    tags: git('tag', '--points-at', 'HEAD').split('\n').filter(Boolean),
    isDirty:
      git('status', '--porcelain') !== '' ||
      git('status', '--porcelain', '--ignored', '--', ...copiedDirectories) !== '',
  }
}

/** Returns why these sources cannot be published; empty if they can. */
export function publishProblems({ version, tags, isDirty }: Source): readonly string[] {
  const tag = `v${version}`
  return [
    ...(isDirty
      ? ['the working tree has files or changes that are not committed; see git status --ignored']
      : []),
    ...(tags.includes(tag) ? [] : [`the commit has no tag ${tag}; run: git tag ${tag}`]),
  ]
}

/** Returns which files state another version than package.json. */
export function versionProblems(root: string, version: string): readonly string[] {
  const read = (file: string) => readFileSync(join(root, file), 'utf8')
  const chart = parse(read('deploy/chart/Chart.yaml')) as Record<string, unknown>
  const manifests = ['deploy/base/webhook.yaml', 'deploy/base/controller.yaml']
  return [
    ...['version', 'appVersion']
      .filter((field) => chart[field] !== version)
      .map((field) => `deploy/chart/Chart.yaml: ${field} is ${String(chart[field])}`),
    ...manifests
      .filter((file) => !read(file).includes(`image: berth.invalid/berth:${version}\n`))
      .map((file) => `${file}: the image has another tag`),
  ].map((problem) => `${problem}, and package.json has ${version}`)
}
