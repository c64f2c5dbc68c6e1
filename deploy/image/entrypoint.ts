/** The command line that the image starts; deploy/Dockerfile repeats it, and a test compares the two. */

/**
 * V8 gets half of the container's memory limit for its old generation. The other half holds request bodies (large ones
 * take 32 MiB at most), connections, code, threads and the young generation. Semi-spaces stay small because the garbage of
 * a review dies with its response, so larger ones only grow the process.
 */
const flags = ['--max-old-space-size-percentage=50', '--max-semi-space-size=4']

export const entrypoint: readonly string[] = ['/nodejs/bin/node', ...flags, '/app/bin/berth.js']

export const command: readonly string[] = ['serve']
