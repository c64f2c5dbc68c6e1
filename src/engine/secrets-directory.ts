/** Where a Deployment mounts the pull secrets that `credentials: { secret: … }` names: one subdirectory for each. */
export const defaultSecretsDirectory = '/var/run/secrets/berth'
