/**
 * Rules for whole lines of a log or of a list of Events, which `berth diagnose --message` reads. They say which lines
 * report no failed pull, so that no other rule finds a cause in them.
 */
import type { RuleData } from './rule.ts'

/** A line can begin with the quote of JSON or with the level of a log. */
const start = String.raw`^(?:warning:? |normal:? )?["']?`
const startsWith = (text: string) => new RegExp(`${start}(?:${text})`)

export const lineRules = [
  {
    id: 'D97',
    cause: 'no-pull-failure',
    certainty: 'likely',
    rank: 'unknown',
    patterns: [],
    /** Texts of k8s.io/kubernetes v1.36: pkg/kubelet (prober, volumemanager, kuberuntime, eviction) and pkg/controller. */
    linePatterns: [
      /\b(?:readiness|liveness|startup) probe (?:failed|errored|warning)/,
      /\b(?:mountvolume|attachvolume|mapvolume|unmountvolume|detachvolume|unmapvolume|volume resize|nodeexpandvolume)\.?\w* (?:failed|succeeded|\w+ failed)/,
      /\bmulti-attach error for volume|unable to (?:attach or )?mount volumes|unmounted volumes=|failed to provision volume|persistentvolumeclaim /,
      startsWith(
        String.raw`error: (?:configmap|secret|failed to sync|couldn't find key|cannot find volume|container has runasnonroot|container's runasuser|failed to prepare subpath|stat |failed to reserve container name|failed to start container|failed to create task|failed to create shim)`,
      ),
      /\bcouldn't find key .{1,400} in (?:configmap|secret)|\breferences non-existent config key/,
      /\bfailed to create (?:containerd task|shim task)|\bfailed to start container\b|\b(?:oci )?runtime create failed|\bunable to start container process|\bcontainer process .{0,40}caused|\bexec failed:/,
      /\bexec: .{0,400}(?:not found in \$path|no such file or directory|permission denied)/,
      startsWith(
        String.raw`error: (?:failed to generate container|(?:rpc error: code = \w+ desc = )?context deadline exceeded["']?$)|failed to create pod ?sandbox: (?:rpc error: code = \w+ desc = )?context deadline exceeded["']?$|scaled (?:up|down) replica set|preempted |deployment does not have minimum availability`,
      ),
      // Other controllers: volumes, Services, certificates, load balancers, webhooks.
      startsWith(
        String.raw`(?:failed to|error|unable to|could not) (?:attach|detach|provision|resize|expand|lock pvc|update lock|updating (?:endpoint|lock)|ensur\w+ load ?balancer|syncing load ?balancer|sync (?:configmap|secret) cache|create new replica set|verify acme|resolving challenge|getting clusterinformation)\b`,
      ),
      startsWith(
        String.raw`failed (?:deploy|build) model|internal error occurred: failed calling|certificate will be|issuing certificate|node \S{1,253} status is now|error: createcontainer(?:config)?error["']?$|error: container create failed(?!.*(?:image|layer))`,
      ),
      startsWith(
        String.raw`error (?:creating|deleting): |error syncing (?:load balancer|deployment)|\d+/\d+ nodes are available|pod sandbox changed|back-off restarting failed`,
      ),
      /\bexceeded quota\b|\bis forbidden: |\badmission webhook .{1,400} denied the request|\bpodsecurity\b/,
      /\bfailed to (?:set ?up|teardown|destroy) (?:pod )?(?:network|sandbox container .{0,200} network)|\bnetworkplugin cni|\bnetwork for (?:pod|sandbox)|\bnetwork is not ready\b|\bnetworkpluginnotready|\bcni (?:plugin|config) not initialized|\bplugin type=/,
      /\b(?:poststart|prestop) ?hook\b|\bexec lifecycle hook\b/,
      /\bfailed to get (?:cpu|memory|\w+ resource|external|object|pods) .{0,40}(?:utilization|metric)|\bunable to (?:get|fetch) metrics|\bmetrics\.k8s\.io\b/,
      startsWith(
        String.raw`error killing pod|failed to kill pod|stopping container|killing container|the node (?:was low|had condition)|container runtime did not kill the pod|container \S{1,253} (?:exceeded|failed (?:liveness|startup))|pod ephemeral local storage usage exceeds|usage of emptydir volume|marking for deletion|cancelling deletion|system oom|memory cgroup out of memory|job has reached|job was active|failed to (?:update endpoint|place pod|assign)|nodenotready|node is not ready|(?:failed to|unable to) (?:update|allocate|prepare dynamic)`,
      ),
      // Events of successful pulls.
      startsWith(
        String.raw`pulling image ‹name›["']?$|successfully pulled image |successfully assigned |(?:created|started|deleted) (?:container|pod)|add \w+ \[|pod (?:didn't )?trigger(?:ed)? scale-up|waiting for (?:first consumer|a volume)|container image .{1,400} already present on machine`,
      ),
    ],
    // What a runtime or a registry says within a failed pull: `denied: … is forbidden`, `exec: "unpigz": executable file not found`.
    except: new RegExp(
      [
        String.raw`${start}(?:(?:level=\w+ )?msg=["'])?(?:failed to (?:pull|inspect) image|back-off pulling image ‹\w+›: |pullimage )`,
        // Kata pulls in the guest, when it creates the container.
        String.raw`failed to create (?:containerd|shim) task: .{0,200}(?:failed to pull|pull(?:ing)? image|image.?pull)`,
        String.raw`${start}failed to create pod ?sandbox: .{0,400}failed to (?:get sandbox image|pull (?:and unpack )?image)`,
        String.raw`^(?:["']?error syncing pod.{0,40})?failed to "startcontainer" for \S{1,400} with (?:errimagepull|imagepullbackoff): `,
      ].join('|'),
    ),
    means: 'this line does not report a failed pull',
    fix: 'nothing to do for pulls; other parts of Kubernetes report this line',
  },
  {
    id: 'D98',
    cause: 'repeated-line',
    certainty: 'likely',
    rank: 'unknown',
    patterns: [],
    /** pkg/kubelet/images/image_manager.go, pkg/kubelet/kuberuntime/kuberuntime_manager.go, and pkg/kubelet/kubelet_pods.go for `kubectl logs`. */
    linePatterns: [
      /waiting to start: (?:trying and failing to pull image|image can't be pulled|(?:errimagepull|imagepullbackoff)["']?$)/,
      /(?:image pull failed: |imagepullbackoff \()back-off pulling image ‹\w+›[)"']*$/,
      startsWith(String.raw`(?:error: )?(?:errimagepull|imagepullbackoff)["']?$`),
      startsWith(String.raw`back-off pulling image (?:‹\w+›|\S{1,512})["']?$`),
      /failed to "startcontainer" for \S{1,400} with (?:imagepullbackoff|errimagepull): ["']*back-off pulling image (?:‹\w+›|[^\s]{1,512}?)["']*(?: pod=.*| podu?id=.*)?$/,
    ],
    means: 'this line repeats that a pull failed, without the cause',
    fix: 'read the earlier line of the same pod: Failed to pull image …',
  },
] as const satisfies readonly RuleData[]
