/** The architectures that images and executables are built for. */

/** By their names in images, which are Go's. */
export const architectures = ['amd64', 'arm64'] as const

export type Architecture = (typeof architectures)[number]

/** The architecture of this machine. */
export const machineArchitecture = (process.arch === 'x64' ? 'amd64' : process.arch) as Architecture
