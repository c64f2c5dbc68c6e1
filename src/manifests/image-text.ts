/** Tells whether a text or the name of a field is that of an image. Pure. */

/** `image`, `sidecarImage`, `imageName`, `RELATED_IMAGE_PROXY`; not `imagePullPolicy` and `imageTag`. */
const imageKey = /image(?:s|_?name|_?ref|_?reference|_?url)?$|(?:^|_)IMAGE(?:_|$)/i
const notImageKey = /tag$|version$|policy$|digest$|registry$|secrets?$|type$/i

export function isImageKey(name: string): boolean {
  return imageKey.test(name) && !notImageKey.test(name)
}

export function namesRegistry(image: string): boolean {
  return /^(?:[A-Za-z0-9-]+\.[A-Za-z0-9.-]+|[A-Za-z0-9-]+:\d+|localhost)(?::\d+)?\//.test(image)
}

export function isVersioned(image: string): boolean {
  return /:[^/]+$/.test(image)
}
