/** kube-score, which compares manifests with what it considers good practice. */
import { run } from './command.ts'
import { buildPublishedProgram, kubernetesVersion } from './go-programs.ts'
import type { KubeObject } from './kubectl.ts'

/** Builds kube-score once; returns the path of the program. */
export function buildKubeScore(): Promise<string> {
  return buildPublishedProgram('github.com/zegl/kube-score/cmd/kube-score', 'v1.20.0')
}

export type ScoreFinding = {
  /** The name of the check, such as `container-resources`. */
  check: string
  /** Such as `Deployment/berth-webhook`. */
  object: string
  comments: readonly string[]
}

type ScoredObject = {
  type_meta: { kind: string }
  object_meta: { name: string }
  checks:
    | readonly {
        check: { id: string }
        /** 10 is the best. */
        grade: number
        skipped: boolean
        comments: readonly { path: string; summary: string }[] | null
      }[]
    | null
}

/** Returns what kube-score criticizes, warnings included. It does not ask for CPU limits. */
export async function scoreFindings(objects: readonly KubeObject[]): Promise<ScoreFinding[]> {
  const version = kubernetesVersion.split('.').slice(0, 2).join('.')
  const args = ['score', '--output-format=json', `--kubernetes-version=${version}`]
  const input = objects.map((object) => `---\n${JSON.stringify(object)}\n`).join('')
  const { stdout, stderr } = await run(
    await buildKubeScore(),
    [...args, '--ignore-container-cpu-limit', '-'],
    { input },
  )
  if (stderr !== '') throw new Error(`kube-score: ${stderr}`)
  // Null if it checks none of the kinds, as with roles only.
  const scored = (JSON.parse(stdout) as ScoredObject[] | null) ?? []
  return scored.flatMap(({ type_meta, object_meta, checks }) =>
    (checks ?? [])
      .filter(({ skipped, grade }) => !skipped && grade < 10)
      .map(({ check, comments }) => ({
        check: check.id,
        object: `${type_meta.kind}/${object_meta.name}`,
        comments: (comments ?? []).map(({ path, summary }) => `${path}: ${summary}`),
      })),
  )
}
