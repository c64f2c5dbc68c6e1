/** Defaults of `berth serve`, in a module that loads nothing else: `--help` shows them. */

/** Where the Deployment mounts the Secret that `berth certs` creates. */
export const mountedCertificate = {
  cert: '/etc/berth/tls/tls.crt',
  key: '/etc/berth/tls/tls.key',
} as const

/** In a cluster that works, endpoints reach every kube-proxy and API server within this time. */
export const drainSeconds = 15

/** API servers watch the webhook configuration; a watch that is later than this counts as broken. */
export const settleSeconds = 120
