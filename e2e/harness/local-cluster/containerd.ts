/** The configuration of containerd and of the CNI plugins. */
import { network } from './files.ts'

/** Returns a CNI configuration with a link to each pod and no address translation: pods reach only the node. */
export function cniConfig(runDir: string): Record<string, unknown> {
  return {
    cniVersion: '0.4.0',
    name: 'berth-e2e',
    plugins: [
      {
        type: 'ptp',
        ipMasq: false,
        ipam: {
          type: 'host-local',
          subnet: network.podRange,
          dataDir: `${runDir}/ipam`,
          routes: [{ dst: '0.0.0.0/0' }],
        },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  }
}

/**
 * Returns a configuration that keeps everything in the run directory. Without restrict_oom_score_adj every sandbox fails
 * where this machine may not lower the score, as in an unprivileged container.
 */
export function containerdConfig(runDir: string, sandboxImage: string): string {
  const cri = 'plugins."io.containerd.grpc.v1.cri"'
  return `version = 2
root = "${runDir}/containerd/root"
state = "${runDir}/containerd/state"
[grpc]
  address = "${runDir}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "${runDir}/containerd/opt"
[${cri}]
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  sandbox_image = "${sandboxImage}"
  [${cri}.cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${runDir}/cni"
  [${cri}.registry]
    config_path = "${runDir}/certs.d"
  [${cri}.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [${cri}.containerd.runtimes.runc.options]
      Root = "${runDir}/containerd/runc"
`
}
