/** Computes the digest and the media type of a manifest while it arrives, and keeps none of it. */
import { createHash, type Hash } from 'node:crypto'
import type { ManifestAnswer } from '../../decision/resolve/manifest-source.ts'
import { isDigest } from '../../decision/reference/parse.ts'
import { type JsonScalar, JsonScanner } from '../../json/json-scanner.ts'
import { algorithmOf } from '../digest.ts'
import { failed } from '../http/network-error.ts'
import type { BodyConsumer } from '../http/response-body.ts'
import type { HttpResponse } from '../http/messages.ts'
import { describeJsonProblem, manifestLimits } from './manifest-json.ts'
import {
  checkType,
  compressed,
  digestHeaderOf,
  mediaTypeOf,
  mediaTypes,
  otherDigest,
  schema1,
  tooLarge,
} from './manifest-headers.ts'

export interface ManifestReader {
  readonly consumer: BodyConsumer
  /** Returns the answer of a GET with status 200, after its body has been read. */
  answer(response: HttpResponse): ManifestAnswer
}

/** The members of the manifest that Berth reads. A value is undefined if it is not a scalar. */
type Members = ReadonlyMap<string, JsonScalar | undefined>

/** What is known about the manifest that is being read. */
interface Progress {
  readonly hashes: ReadonlyMap<string, Hash>
  readonly scanner: JsonScanner
  readonly members: Members
}

/** Creates a reader for a tag or digest. */
export function createManifestReader(reference: string): ManifestReader {
  let progress = startReading([])

  return {
    consumer: {
      start(header) {
        const digests = [digestHeaderOf({ header }), isDigest(reference) ? reference : null]
        progress = startReading(digests.filter((digest) => digest !== null).map(algorithmOf))
      },
      write(piece) {
        for (const hash of progress.hashes.values()) hash.update(piece)
        progress.scanner.write(piece)
        return progress.scanner.problem === null
      },
    },
    answer: (response) => readAnswer(reference, response, progress),
  }
}

function startReading(algorithms: readonly string[]): Progress {
  const members = new Map<string, JsonScalar | undefined>()
  return {
    members,
    hashes: new Map(['sha256', ...algorithms].map((each) => [each, createHash(each)])),
    scanner: new JsonScanner(manifestLimits, {
      onMember: (key, value) => {
        if (key === 'mediaType' || key === 'schemaVersion') members.set(key, value)
      },
    }),
  }
}

function readAnswer(
  reference: string,
  response: HttpResponse,
  { hashes, scanner, members }: Progress,
): ManifestAnswer {
  if (response.hasContentCoding) return compressed()
  const typeProblem = checkType(mediaTypeOf(response))
  if (typeProblem !== null) return typeProblem
  if (response.body === null && scanner.problem === null) return failed('invalid', tooLarge)
  const jsonProblem = scanner.end()
  if (jsonProblem !== null) return failed('invalid', `manifest ${describeJsonProblem(jsonProblem)}`)
  if (!scanner.isObject) return failed('invalid', 'manifest is not a JSON object')
  const digests = new Map(
    [...hashes].map(([algorithm, hash]) => [algorithm, `${algorithm}:${hash.digest('hex')}`]),
  )
  const stated = digestHeaderOf(response)
  if (stated !== null && stated !== digests.get(algorithmOf(stated))) {
    return failed('invalid', 'the digest header does not match the manifest')
  }
  const digest = isDigest(reference)
    ? digests.get(algorithmOf(reference))
    : (stated ?? digests.get('sha256'))
  if (digest === undefined || (isDigest(reference) && digest !== reference)) return otherDigest()
  const mediaType = readMediaType(members, mediaTypeOf(response))
  return typeof mediaType === 'string' ? { outcome: 'found', digest, mediaType } : mediaType
}

/** Returns the type of a manifest. The header may be generic, but must not contradict the body. */
function readMediaType(members: Members, headerType: string): string | ManifestAnswer {
  const mediaType = members.get('mediaType')
  if (members.get('schemaVersion') === 1) return schema1()
  if (mediaTypes.includes(headerType)) {
    const isMissing = !members.has('mediaType') || mediaType === ''
    const agrees = isMissing || mediaType === headerType
    return agrees
      ? headerType
      : failed('invalid', 'the media type in the manifest differs from the Content-Type header')
  }
  return typeof mediaType === 'string' && mediaTypes.includes(mediaType)
    ? mediaType
    : failed('invalid', 'not an image manifest')
}
