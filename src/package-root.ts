/** The directory of package.json and webhook-config: one level above src, and above dist, where the build puts all code. */
export const packageRoot = new URL('..', import.meta.url)
