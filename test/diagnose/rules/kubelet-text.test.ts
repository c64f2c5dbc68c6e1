import { describe, expect, it } from 'vitest'
import { addNodeEvidence } from '../../../src/diagnose/evidence/node-evidence.ts'
import { classify } from '../../../src/diagnose/rules/classify.ts'
import { diagnoseMessage } from '../../../src/diagnose/verdict.ts'

const invalid = 'Failed to apply default image tag "r.example/A:1": couldn\'t parse image name "r.example/A:1": invalid reference format: repository name (A) must be lowercase' // prettier-ignore
const neverPulled = 'Container image "r.example/a:1" is not present with pull policy of Never'

describe('what the kubelet itself says', () => {
  it.each([
    ['D14', 'pull QPS exceeded'],
    ['D14', 'ErrImagePull: pull QPS exceeded'],
    ['D14', 'Failed to pull image "r.example/a:1": pull QPS exceeded'],
    ['D14', 'ImagePullBackOff: Back-off pulling image "r.example/a:1": ErrImagePull: pull QPS exceeded'],
    ['D01', invalid],
    ['D01', invalid.replace('image name', 'image reference')],
    ['D01', `InvalidImageName: ${invalid}`],
    ['D01', 'Error: InvalidImageName'],
    ['D01', 'InvalidImageName'],
  ])('proves %s: %s', (rule, message) => {
    expect(diagnoseMessage(message, null)).toMatchObject({ rule: { id: rule }, certainty: 'proved' })
  }) // prettier-ignore
})

/** Texts of kubelets, which a registry sends as the reason of a refusal. */
const quoted = ['pull QPS exceeded', invalid, 'InvalidImageName', neverPulled, 'ErrImageNeverPull']

/** How runtimes pass on the text of a registry; `TEXT` is that text. */
const wrappers = [
  'ErrImagePull: rpc error: code = Unknown desc = failed to pull and unpack image "r.example/a:1": failed to resolve reference "r.example/a:1": unexpected status from HEAD request to https://r.example/v2/a/manifests/1: 400 Bad Request: TEXT',
  'Failed to pull image "r.example/a:1": rpc error: code = Unknown desc = Error response from daemon: unknown: TEXT',
  'Failed to pull image "r.example/a:1": Error response from daemon: TEXT',
  'ImagePullBackOff: Back-off pulling image "r.example/a:1": ErrImagePull: unable to pull image or OCI artifact: pull image err: initializing source docker://r.example/a:1: reading manifest 1 in r.example/a: unknown: TEXT; artifact err: x',
  'Failed to pull image "r.example/a:1": [rpc error: code = Unknown desc = denied: x, rpc error: code = Unknown desc = TEXT]',
  'Failed to pull image "r.example/a:1": denied: "TEXT"',
  'ErrImagePull: TEXT: denied',
  'ErrImagePull: received unexpected HTTP status: 400 \nTEXT',
]

describe('what a registry writes into a message', () => {
  const cases = wrappers.flatMap((wrapper) => quoted.map((text) => wrapper.replace('TEXT', text)))

  it.each(cases)('proves nothing: %s', (message) => {
    const onNode = addNodeEvidence(diagnoseMessage(message, null), node, {
      image: 'r.example/a:1',
      message,
    })

    expect(onNode.certainty).not.toBe('proved')
  })

  it('is at most likely if it quotes the kubelet', () => {
    const message = `Failed to pull image "r.example/a:1": unknown: ${neverPulled}`

    expect(classify(message).rule.id).toBe('D02')
  })
})

/** It does not have the image, as every node whose pull fails. */
const node = { metadata: { name: 'n1' }, status: { images: [{ names: ['r.example/b:1'] }] } }

describe('a node without the image', () => {
  it.each([neverPulled, `ErrImageNeverPull: ${neverPulled}`, 'Error: ErrImageNeverPull'])(
    'proves the kubelet right: %s',
    (message) => {
      const verdict = diagnoseMessage(message, null)

      expect(verdict).toMatchObject({ rule: { id: 'D02' }, certainty: 'likely' })
      const failure = { image: 'r.example/a:1', message }
      expect(addNodeEvidence(verdict, node, failure).certainty).toBe('proved')
    },
  )
})
