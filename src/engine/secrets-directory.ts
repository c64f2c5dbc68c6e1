/** Where a Deployment mounts the pull secrets that `credentials: { secret: … }` names, a directory for each. */
export const defaultSecretsDirectory = '/var/run/secrets/berth'
