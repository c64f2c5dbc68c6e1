/** Parses image names that people type, with the prefixes of other tools. */
import { type ParseResult, parseReference } from './parse.ts'

/** The transports of skopeo and podman that are not registries (containers-transports(5)). */
const transport =
  /^(oci|oci-archive|docker-archive|docker-daemon|containers-storage|dir|ostree|sif|tarball):(?![0-9]+\/)/

/**
 * Parses an image as `parseReference`, also with the prefix `docker://`. A prefix of another transport, such as
 * `oci:DIR`, is an error: without this check, `docker-archive:x.tar` is an image of Docker Hub with the tag `x.tar`.
 */
export function parseName(text: string): ParseResult {
  const [, name] = transport.exec(text) ?? []
  if (name === undefined) return parseReference(text.replace(/^docker:\/\//, ''))
  const option = name.startsWith('oci') ? ', or use --to or --from of `berth mirror`' : ''
  const message = `\`${name}:\` is a prefix of skopeo and podman for images outside of registries, and names are of images in registries; write HOST/PATH:TAG${option}`
  return { ok: false, code: 'invalid-format', message }
}
