/** Adds what the Node object shows about a pull that failed on the node. Reads raw objects. Pure. */
import { member, objectsMember, textMember } from '../../json/json.ts'
import { parseReference } from '../../decision/reference/parse.ts'
import { formatAsPulled } from '../../decision/reference/reference.ts'
import { isKubeletText } from '../rules/classify.ts'
import type { PullFailure } from '../pull-failure.ts'
import type { Certainty, Evidence, PullVerdict } from '../verdict.ts'
import type { ProbeReport } from './probe-report.ts'

/** A kubelet reports at most this many images (KubeletConfiguration, nodeStatusMaxImages). */
const maxReportedImages = 50

/** Adds the node's versions, platform and pressure conditions, which can prove a cause. */
export function addNodeEvidence(
  verdict: PullVerdict,
  node: unknown,
  { image, message }: Pick<PullFailure, 'image' | 'message'>,
): PullVerdict {
  const status = member(node, 'status')
  const info = member(status, 'nodeInfo')
  const name = textMember(member(node, 'metadata'), 'name')
  if (name === '') return verdict
  const runtime = textMember(info, 'containerRuntimeVersion')
  const versions = `${name} runs ${runtime} and kubelet ${textMember(info, 'kubeletVersion')} on ${platformOf(node)}`
  const lines = runtime === '' ? [] : [versions]
  const pressures = objectsMember(status, 'conditions').filter(
    (condition) =>
      textMember(condition, 'type').endsWith('Pressure') &&
      textMember(condition, 'status') === 'True',
  )
  for (const condition of pressures)
    lines.push(`${name} has ${textMember(condition, 'type')}: ${textMember(condition, 'message')}`)
  const { provedByNode } = verdict.rule
  const hasDiskPressure = pressures.some(
    (condition) => textMember(condition, 'type') === 'DiskPressure',
  )
  if (provedByNode === 'disk-pressure' && hasDiskPressure)
    return addEvidence(verdict, lines, 'proved')
  if (provedByNode !== 'image-list') return addEvidence(verdict, lines, verdict.certainty)
  const images = objectsMember(status, 'images')
  const hasImage = isReported(images, image)
  const isComplete = images.length < maxReportedImages
  lines.push(
    hasImage
      ? `${name} reports the image: it was pulled with a credential that this pod does not have`
      : `${name} does not report the image${isComplete ? '' : `, but a kubelet reports only ${maxReportedImages} images`}`,
  )
  const isProved = (hasImage || isComplete) && isKubeletText(verdict.rule, message)
  return addEvidence(verdict, lines, isProved ? 'proved' : verdict.certainty)
}

/** The first version whose kubelets check credentials for images on the node by default (KubeletEnsureSecretPulledImages). */
const verifyingMinor = 35

/** Says that the node has an image that a pod without its credential may not use. */
export function addPresentImage(verdict: PullVerdict, node: unknown, image: string): PullVerdict {
  const status = member(node, 'status')
  const version = textMember(member(status, 'nodeInfo'), 'kubeletVersion')
  const minor = Number(/^v1\.(\d{1,4})\./.exec(version)?.[1])
  if (!(minor >= verifyingMinor) || !isReported(objectsMember(status, 'images'), image))
    return verdict
  const name = textMember(member(node, 'metadata'), 'name')
  const says = `${name} has the image, but kubelet ${version} lets a pod use it only with a credential that it was pulled with (imagePullCredentialsVerificationPolicy)`
  return addEvidence(verdict, [says], verdict.certainty)
}

function isReported(images: readonly unknown[], image: string): boolean {
  const parsed = parseReference(image)
  const pulled = parsed.ok ? formatAsPulled(parsed.reference) : image
  return images.some((each) => {
    const names = member(each, 'names')
    return Array.isArray(names) && (names.includes(image) || names.includes(pulled))
  })
}

/** Proves that the image lacks the node's platform, or contradicts it. */
export function applyNodePlatform(
  verdict: PullVerdict,
  node: unknown,
  { platforms }: ProbeReport,
): PullVerdict {
  if (verdict.rule.provedByNode !== 'platform' || platforms === null) return verdict
  const nodePlatform = platformOf(node)
  if (nodePlatform === '/') return verdict
  return { ...verdict, certainty: platforms.includes(nodePlatform) ? 'ambiguous' : 'proved' }
}

function addEvidence(
  verdict: PullVerdict,
  lines: readonly string[],
  certainty: Certainty,
): PullVerdict {
  const evidence = lines.map((says): Evidence => ({ from: 'node', says }))
  return { ...verdict, certainty, evidence: [...verdict.evidence, ...evidence] }
}

/** `linux/amd64`; `/` when unknown. */
function platformOf(node: unknown): string {
  const info = member(member(node, 'status'), 'nodeInfo')
  return `${textMember(info, 'operatingSystem')}/${textMember(info, 'architecture')}`
}
