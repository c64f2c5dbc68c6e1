/** Limits for deciding many images. Without imports, since most commands load this file. */

/** Milliseconds for one image. A person waits longer than an API server does. */
export const imageTimeoutMs = 10_000

/** Images decided at once: enough to hide the latency of registries, and too few to look like an attack on one. */
export const parallelImages = 8
