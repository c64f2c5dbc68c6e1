/** How the image starts; deploy/Dockerfile says the same, and a test compares. */

/**
 * Half of the container's memory limit for old objects: the other half is for bodies (48 MiB of large ones at the most),
 * code, threads and the young generation. Small semi-spaces: what a review makes is garbage when it is answered, and
 * larger ones only make the process larger.
 */
const flags = ['--max-old-space-size-percentage=50', '--max-semi-space-size=4']

export const entrypoint: readonly string[] = ['/nodejs/bin/node', ...flags, '/app/bin/berth.js']

export const command: readonly string[] = ['serve']
