/** Bundles programs with all packages that they need into a few files of JavaScript, and collects the licences. */
import { globSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Plugin, rolldown } from 'rolldown'
import { bundleConsolePage } from './console-page.ts'

/** The programs of Berth. The worker is started by its file name. */
export const programs: Readonly<Record<string, string>> = {
  main: 'src/main.ts',
  'config-worker': 'src/config/config-worker.ts',
}

/**
 * Writes all code of `inputs` to `out`, a file for each input and others that they share or load later. The same sources and
 * packages give the same bytes.
 */
export async function bundle(
  root: string,
  inputs: Readonly<Record<string, string>>,
  out: string,
): Promise<void> {
  const built = await rolldown({
    cwd: root,
    input: { ...inputs },
    platform: 'node',
    tsconfig: false,
    plugins: [readLists(root), yamlWithoutLog(root), skipUnusedImports, escapeText],
  })
  // The chunks of older builds have other names.
  for (const name of globSync('*.{js,cjs}', { cwd: out })) rmSync(join(out, name))
  const { output } = await built.write({
    dir: out,
    // Node.js starts CommonJS faster. The import of a builtin module reads all its properties, and some of `node:http` load
    // a second HTTP client, 10 MB large.
    format: 'cjs',
    // All in one directory: src/package-root.ts relies on it.
    entryFileNames: '[name].cjs',
    chunkFileNames: '[name]-[hash].cjs',
    comments: { legal: true, annotation: false, jsdoc: false },
    codeSplitting: { groups },
  })
  await built.close()
  const page = await bundleConsolePage()
  for (const [name, text] of page.files) writeFileSync(join(out, name), text)
  const modules = [
    ...output.flatMap((file) => (file.type === 'chunk' ? file.moduleIds : [])),
    ...page.modules,
  ]
  writeFileSync(join(out, 'THIRD-PARTY-LICENSES.txt'), licencesOf(modules))
}

/**
 * Code that is loaded together, each in one file: Node.js takes longer to open a file than to read it. The sources and packages
 * that these modules import are in the same file, unless a group with a higher priority has them. No group may have a
 * program: other files would import it, and start it.
 */
const groups = [
  { name: 'text', test: /\/src\/(?:errors|text\/[^/]*)\.ts$/, priority: 4 },
  { name: 'commands', test: /\/src\/cli\/(?:run|commands\/[^/]*)\.ts$/, priority: 3 },
  // Without the schema and the YAML library: a process loads a large config in a worker only (src/config/load-first.ts).
  {
    name: 'compile',
    test: /\/src\/(?:config\/(?:config-data|problem)|explain\/explain-image|files\/[^/]*|json\/json(?!-pointer)[^/]*|yaml\/limits)\.ts$/,
    priority: 2,
  },
  { name: 'config', test: /\/src\/config\/load\.ts$/, priority: 1 },
]

/** Files whose `readList` needs the YAML library and a schema. */
const lists: readonly string[] = [
  'src/config/known-conflict-list.ts',
  'src/config/known-workload-list.ts',
]

/** Replaces these files by the list that they return. */
function readLists(root: string): Plugin {
  const files = new Set(lists.map((file) => join(root, file)))
  return {
    name: 'read-lists',
    load: async (id) => {
      if (!files.has(id)) return null
      const { readList } = (await import(id)) as { readList: () => unknown }
      return `export const readList = () => (${JSON.stringify(readList())})`
    },
  }
}

/**
 * Takes the build of the YAML library for browsers. The one for Node.js reads an environment variable for each token, to log
 * it. Each read is a call into C++, and all of them take a sixth of the time for a large config.
 */
function yamlWithoutLog(root: string): Plugin {
  const file = join(root, 'node_modules/yaml/browser/dist/index.js')
  return { name: 'yaml-without-log', resolveId: (id) => (id === 'yaml' ? file : null) }
}

/** Escapes other characters than those of ASCII: a text with one of them takes twice the memory, and longer to load. */
const escapeText: Plugin = {
  name: 'escape-text',
  generateBundle: (_, files) => {
    for (const file of Object.values(files))
      if (file.type === 'chunk' && !/String\.raw`[^`]*[^\0-\x7f]/.test(file.code))
        file.code = file.code.replaceAll(
          /[^\0-\x7f]/g,
          (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
        )
  },
}

/**
 * Imports that Berth does not use, and that take time to load: commander would start commands that are programs of their own,
 * and fastify would speak HTTP/2 and compile schemas (src/http/without-schemas.ts).
 */
const unusedImports: Readonly<Record<string, string>> = {
  'node:child_process': '/node_modules/commander/',
  'node:http2': '/node_modules/fastify/',
  '@fastify/ajv-compiler': '/node_modules/fastify/',
  '@fastify/fast-json-stringify-compiler': '/node_modules/fastify/',
}

const skipUnusedImports: Plugin = {
  name: 'skip-unused-imports',
  resolveId: (name, importer = '') => {
    const user = unusedImports[name]
    return user !== undefined && importer.includes(user) ? '\0empty' : null
  },
  load: (id) => (id === '\0empty' ? 'export default {}' : null),
}

/** Returns the licences of all packages that these files are from. */
function licencesOf(files: readonly string[]): string {
  const packages = files.flatMap(
    (file) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? [],
  )
  return [...new Set(packages)]
    .map((directory) => licenceOf(directory))
    .sort()
    .join(`\n\n${'-'.repeat(80)}\n\n`)
}

function licenceOf(directory: string): string {
  const { name, version, license } = JSON.parse(
    readFileSync(join(directory, 'package.json'), 'utf8'),
  ) as Record<string, string>
  // Many packages write the name in lower case, and some call it UNLICENSE.
  const texts = readdirSync(directory)
    .filter((file) => /^(?:(?:un)?licen[cs]e|copying|notice)/i.test(file))
    .sort()
    .map((file) => readFileSync(join(directory, file), 'utf8').trim())
  if (texts.length === 0) texts.push(`The package contains no text of its licence, ${license}.`)
  return [`${name} ${version} (${license})`, ...texts].join('\n\n')
}
