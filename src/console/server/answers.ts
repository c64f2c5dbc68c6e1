/** The API of the page: one function for each path. */
import { redactSource } from '../../config/redact.ts'
import type { PodContext } from '../../decision/fallback/pod-context.ts'
import { explainImage } from '../../explain/explain-image.ts'
import { isObject, member, textMember } from '../../json/json.ts'
import { configLimits } from '../../yaml/limits.ts'
import { compareDraft } from '../draft.ts'
import { imageDetail } from '../image-detail.ts'
import { findPlatforms } from '../image-platforms.ts'
import type { Live } from '../live.ts'
import type { Session } from './session.ts'

export interface AnswerOptions {
  readonly live: Live
  /** What is open for the config in use. */
  readonly session: () => Session
  /** True to refuse requests that would contact a registry or take much CPU time. */
  readonly isShared: boolean
  /** Relative paths in a draft start from here. */
  readonly directory: string
}

type Answer =
  { readonly value: unknown } | { readonly status: 400 | 403 | 404; readonly problem: string }

/** Characters of an image name, a label or an owner in a request. An image name has at most 700. */
const maxText = 2_048

/** Labels, owners and platforms in a request. */
const maxParts = 64

type Answers = Readonly<Record<string, (body: unknown) => Promise<Answer>>>

/** By the path of the request. The body is JSON of any shape. */
export function createAnswers(options: AnswerOptions): Answers {
  const { live, session, isShared } = options
  return {
    async explain(body) {
      const image = textMember(body, 'image').trim()
      if (image === '' || image.length > maxText) return invalid('give an image')
      const pod = readPod(body)
      if (pod === null) return invalid('labels, owners or platforms are not valid')
      const { explain } = session()
      const asks = member(body, 'probe') === true
      if (asks && isShared) return notShared()
      const { explanation, isDenied } = await explainImage(
        { ...explain, resolve: asks ? explain.resolve : null },
        pod,
        image,
      )
      return { value: { explanation, isDenied } }
    },
    async image(body) {
      const id = textMember(body, 'id')
      const list = live.list()
      const key = list.keys.get(id) ?? ''
      const [row, image] = [list.rows.get(id), list.images.get(key)]
      if (row === undefined || image === undefined)
        return { status: 404, problem: 'no pod runs this image any more' }
      const { config } = session().inUse
      return { value: imageDetail({ config, row, image, uses: list.uses.get(key) ?? [] }) }
    },
    async config() {
      return { value: { text: redactSource(session().inUse.config.source) } }
    },
    ...createCostlyAnswers(options),
  }
}

/** Answers that contact registries on request, or take seconds of CPU time. */
function createCostlyAnswers({ live, session, isShared, directory }: AnswerOptions): Answers {
  const answers: Answers = {
    async 'explain-image'(body) {
      const list = live.list()
      const image = list.images.get(list.keys.get(textMember(body, 'id')) ?? '')
      if (image === undefined) return { status: 404, problem: 'no pod runs this image any more' }
      const { explain } = session()
      const explained = await explainImage(explain, image.pod, image.image)
      return { value: { ...explained, platforms: await findPlatforms(explain, explained) } }
    },
    async mirror() {
      const { compareMirrors } = session()
      if (compareMirrors === null) return invalid('the console contacts no registry')
      return { value: await compareMirrors(live.list()) }
    },
    async draft(body) {
      const text = textMember(body, 'text')
      if (Buffer.byteLength(text) > configLimits.length)
        return invalid(`the draft has more than ${configLimits.length} bytes`)
      const { config } = session().inUse
      return { value: await compareDraft(text, { config, directory }, live.list().images.values()) }
    },
    async check() {
      live.checkAgain()
      return { value: {} }
    },
  }
  if (!isShared) return answers
  return Object.fromEntries(Object.keys(answers).map((name) => [name, async () => notShared()]))
}

function notShared(): Answer {
  return {
    status: 403,
    problem: 'the console in the cluster does not do this on request; run berth console',
  }
}

function invalid(problem: string): Answer {
  return { status: 400, problem }
}

/** Returns what the request says about the pod; what it leaves out is not known. Null if it is not valid. */
function readPod(body: unknown): PodContext | null {
  const namespace = textMember(body, 'namespace')
  const labels = member(body, 'labels') ?? null
  const owners = readTexts(member(body, 'owners'))
  const platforms = readTexts(member(body, 'platforms'))
  if (namespace.length > maxText || owners === undefined || platforms === undefined) return null
  if (labels !== null && !areLabels(labels)) return null
  return {
    namespace: namespace === '' ? null : namespace,
    labels,
    owners,
    ...(platforms === null ? {} : { platforms }),
  }
}

function areLabels(value: unknown): value is Readonly<Record<string, string>> {
  if (!isObject(value)) return false
  const values = Object.entries(value)
  return values.length <= maxParts && values.every(([, text]) => isShort(text))
}

/** Null if it is left out; undefined if it is not a list of texts. */
function readTexts(value: unknown): readonly string[] | null | undefined {
  if (value === undefined || value === null) return null
  return Array.isArray(value) && value.length <= maxParts && value.every(isShort)
    ? value
    : undefined
}

function isShort(value: unknown): value is string {
  return typeof value === 'string' && value.length <= maxText
}
