/** `npm run release`: builds, pushes and signs everything that a release consists of; see docs/release.md. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type NamedArtifact, writeLayout } from '../../deploy/image/oci.ts'
import { type Artifacts, buildArtifacts, sha256Of } from './build-artifacts.ts'
import { signKeyless } from './keyless.ts'
import { emptyOutput } from './output.ts'
import { parseOptions, type ReleaseOptions, usage } from './options.ts'
import { createProvenance, createStatement, provenanceType, type Subject } from './provenance.ts'
import { pushLayout } from './push.ts'
import {
  attestImage,
  createSigner,
  signatureTag,
  type Signer,
  signFile,
  signImage,
  signStatement,
} from './signing.ts'
import { publishProblems, readSource, type Source, versionProblems } from './source.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const sbomType = 'https://cyclonedx.org/bom'

try {
  const options = parseOptions(process.argv.slice(2))
  if (options === 'help') console.log(usage)
  else await release(options)
} catch (error) {
  console.error(`release: ${(error as Error).message}`)
  process.exitCode = 1
}

async function release(options: ReleaseOptions): Promise<void> {
  const { dryRun, registry, endpoint } = options
  const source = readSource(root, process.env)
  const problems = [
    ...versionProblems(root, source.version),
    ...(dryRun ? [] : publishProblems(source)),
  ]
  if (problems.length > 0) throw new Error(problems.join('\nrelease: '))
  const signer = options.keyless ? null : readSigner(options)
  const out = resolve(options.out ?? join(root, 'dist/release'))
  if (options.out === null) rmSync(out, { recursive: true, force: true })
  emptyOutput(out)
  const download = options.download ?? defaultDownload(source, process.env)
  const artifacts = await buildArtifacts(root, source, { registry, download, out })
  const predicate = createProvenance(source, options, artifacts.materials, process.env)
  const images = [artifacts.image, artifacts.chart]
  const subjects = [...filesIn(out), ...images.map(subjectOf)]
  const provenance = createStatement(subjects, provenanceType, predicate)
  writeFileSync(join(out, `berth-${source.version}-provenance.json`), json(provenance))
  writeFileSync(join(out, 'SHA256SUMS'), checksums(out))

  const signatures = signer === null ? [] : signAll(artifacts, predicate, signer)
  const layout = join(out, 'oci')
  writeLayout(layout, [...images, ...signatures])
  if (signer !== null) writeSignatures(out, { provenance, version: source.version }, signer)
  if (!dryRun || endpoint !== null) {
    // Signatures last, so that there is never one of an image that is missing.
    const names = [...images, ...signatures].map(({ name }) => name)
    await pushLayout({ layout, names, endpoint })
  }
  if (options.keyless) signWithWorkflow(out, artifacts, predicate)
  report(out, images, source)
}

function readSigner({ key }: ReleaseOptions): Signer {
  return createSigner(key === null ? null : readFileSync(key, 'utf8'))
}

/** The release on GitHub if this is a workflow there; otherwise a reserved name, because the files are nowhere yet. */
function defaultDownload({ version }: Source, env: NodeJS.ProcessEnv): string {
  const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: repository } = env
  const base = server && repository ? `${server}/${repository}` : 'https://berth.invalid'
  return `${base}/releases/download/v${version}`
}

function filesIn(out: string): Subject[] {
  return readdirSync(out)
    .toSorted()
    .map((name) => ({ name, digest: { sha256: sha256Of(readFileSync(join(out, name))) } }))
}

function subjectOf({ name, artifact }: NamedArtifact): Subject {
  return {
    name: repositoryOf(name),
    digest: { sha256: artifact.root.digest.slice('sha256:'.length) },
  }
}

/** In the format of sha256sum. */
function checksums(out: string): string {
  return filesIn(out)
    .map(({ name, digest }) => `${digest.sha256}  ${name}\n`)
    .join('')
}

/** Returns the signatures of both images, and the attestations of the image of Berth. */
function signAll(
  { image, chart, sbom }: Artifacts,
  predicate: object,
  signer: Signer,
): readonly NamedArtifact[] {
  const tagged = ({ name, artifact }: NamedArtifact, suffix: 'sig' | 'att') =>
    `${repositoryOf(name)}:${signatureTag(artifact.root.digest, suffix)}`
  const predicates: readonly (readonly [string, object])[] = [
    [provenanceType, predicate],
    [sbomType, JSON.parse(sbom) as object],
  ]
  const statements = predicates.map(([predicateType, content]) => ({
    predicateType,
    statement: createStatement([subjectOf(image)], predicateType, content),
  }))
  return [
    ...[image, chart].map((each) => ({
      name: tagged(each, 'sig'),
      artifact: signImage(repositoryOf(each.name), each.artifact.root.digest, signer),
    })),
    { name: tagged(image, 'att'), artifact: attestImage(statements, signer) },
  ]
}

/** Writes the signatures of the files: of the checksums, and of the provenance. */
function writeSignatures(
  out: string,
  { provenance, version }: { readonly provenance: object; readonly version: string },
  signer: Signer,
): void {
  const bundle = signFile(readFileSync(join(out, 'SHA256SUMS')), signer)
  writeFileSync(join(out, 'SHA256SUMS.sigstore.json'), json(bundle))
  const envelope = signStatement(provenance, signer)
  writeFileSync(join(out, `berth-${version}.intoto.jsonl`), `${JSON.stringify(envelope)}\n`)
  writeFileSync(join(out, 'cosign.pub'), signer.publicKeyPem)
}

function signWithWorkflow(out: string, { image, chart, sbom }: Artifacts, predicate: object): void {
  const byDigest = ({ name, artifact }: NamedArtifact) =>
    `${repositoryOf(name)}@${artifact.root.digest}`
  signKeyless({
    images: [image, chart].map(byDigest),
    image: byDigest(image),
    predicates: { slsaprovenance1: JSON.stringify(predicate), cyclonedx: sbom },
    checksums: join(out, 'SHA256SUMS'),
    bundle: join(out, 'SHA256SUMS.sigstore.json'),
  })
}

function report(out: string, images: readonly NamedArtifact[], { version, commit }: Source): void {
  console.log(`Berth ${version} of ${commit} in ${out}`)
  for (const { name, artifact } of images) console.log(`${name}@${artifact.root.digest}`)
  process.stdout.write(readFileSync(join(out, 'SHA256SUMS')))
}

function repositoryOf(name: string): string {
  return name.slice(0, name.lastIndexOf(':'))
}

function json(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`
}
