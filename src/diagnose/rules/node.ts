/** Rules for problems with the node's disk, image store and configuration, or with the downloaded content. */
import type { RuleData } from './rule.ts'

export const nodeRules = [
  {
    id: 'D84',
    cause: 'pull-in-progress',
    certainty: 'likely',
    rank: 'vague',
    // containerd v2.4, plugins/content/local/locks.go.
    patterns: [/\bref \S{1,400} locked(?: for|\b)|locked for .{1,60}\(since/],
    means: 'another pull on the node downloads the same content, and has locked it',
    fix: 'wait for the other pull; if the lock stays for minutes, restart containerd on the node',
    readsNode: true,
  },
  {
    id: 'D85',
    cause: 'runtime-limit',
    certainty: 'likely',
    rank: 'definite',
    // EMFILE; a child of the runtime that the kernel killed; google.golang.org/grpc, rpc_util.go.
    patterns: [
      /too many open files/,
      /signal: (?:9 \()?killed|cannot allocate memory|fork\/exec .{0,200}resource temporarily unavailable/,
      /received message larger than max|trying to send message larger than max/,
    ],
    means:
      'a limit of the node stopped the container runtime: open files, memory, or the size of a message',
    fix: 'raise the limit on the node, and restart the container runtime',
    fixes: [
      {
        text: /too many open files/,
        fix: 'raise LimitNOFILE of the unit of the container runtime, or fs.file-max and fs.inotify limits of the node, and restart the runtime',
      },
      {
        text: /signal: (?:9 \()?killed|cannot allocate memory/,
        fix: 'the kernel killed a process that unpacks layers: free memory on the node, or raise MemoryMax of the runtime',
      },
      {
        text: /larger than max/,
        fix: "raise max_recv_message_size and max_send_message_size under [grpc] in the runtime's configuration, or remove images from the node",
      },
    ],
    readsNode: true,
  },
  {
    id: 'D60',
    cause: 'disk-full',
    certainty: 'likely',
    rank: 'definite',
    patterns: [
      /no space left/,
      /disk quota exceeded/,
      /diskpressure|ephemeral-storage/,
      /not enough (?:disk )?space|insufficient (?:disk )?(?:space|storage)|out of disk/,
    ],
    means: "the node's image file system is full, or has no inodes left",
    fix: 'free space on the node: remove images, or give it a larger disk',
    readsNode: true,
    provedByNode: 'disk-pressure',
  },
  {
    id: 'D63',
    cause: 'node-disk-error',
    certainty: 'likely',
    rank: 'definite',
    patterns: [
      /read-only file ?system/,
      /input\/output error/,
      /structure needs cleaning/,
      /stale (?:nfs )?file handle/,
      /file or directory is corrupted|data error \(cyclic redundancy/,
    ],
    means: "the node's disk fails, or is mounted read-only",
    fix: 'drain the node, and check or replace its disk',
    readsNode: true,
  },
  {
    id: 'D61',
    cause: 'digest-mismatch',
    certainty: 'likely',
    rank: 'definite',
    patterns: [
      /unexpected commit digest/,
      /failed size validation/,
      /digest (?:mismatch|did not match|does not match|verification failed)/,
      /failed precondition|failedprecondition/,
      /verification failed for digest/,
      /checksum (?:mismatch|does not match|error)/,
      /does ?n[o']t match (?:config's )?(?:diffid|(?:the )?(?:expected )?digest)/,
      /image verification failed for digest|manifest verification failed/,
    ],
    means:
      'the downloaded content does not match its digest: a broken transfer, or a registry that alters content',
    fix: 'compare the digest on the mirror and on the source, copy the image again, and delete partial content on the node',
  },
  {
    id: 'D74',
    cause: 'image-encrypted',
    certainty: 'likely',
    rank: 'definite',
    patterns: [/\+encrypted/, /needed for decryption/, /(?:error|failed|unable).{0,40}decrypt/],
    means: 'the layers are encrypted, and the node has no key or no decoder for them',
    fix: 'install the key on the node, or use an image that is not encrypted',
  },
  {
    id: 'D79',
    cause: 'image-volume-mount-failed',
    certainty: 'likely',
    rank: 'definite',
    // k8s.io/cri-api, pkg/errors/errors.go; containerd v2.4, internal/cri/server/container_image_mount.go.
    patterns: [
      /imagevolumemountfailed|failed to (?:mount|unpack|prepare for) image volume/,
      /only directory subpath is supported|failed to ensure image subpath/,
      // A runtime without image volumes mounts an empty path.
      /failed to (?:mkdir|stat) "": /,
    ],
    means: 'the image of a volume was pulled, and the runtime cannot mount it',
    fix: 'use a runtime that supports image volumes (containerd 2.1, CRI-O 1.31 or later), and an image whose layers it can unpack',
    fixes: [
      {
        text: /subpath/,
        fix: 'correct the subPath of the volume mount: it must be a directory in the image',
      },
      {
        text: /failed to (?:mkdir|stat) "": /,
        fix: 'use a runtime that supports image volumes: containerd 2.1, or CRI-O 1.31, or later',
      },
    ],
    isOfCreation: true,
    readsNode: true,
  },
  {
    id: 'D03',
    cause: 'image-inspect-failed',
    certainty: 'likely',
    rank: 'definite',
    patterns: [
      /failed to inspect image/,
      /imageinspecterror|inspectfailed/,
      /imagestatus (?:from image service )?failed|id or size of image .{1,400} is not set/,
    ],
    means:
      'the runtime cannot read its local copy of the image: the image store is damaged, or the copy is for another platform',
    fix: 'remove the image on that node (crictl rmi) and restart its runtime; credentials are not the cause',
    readsNode: true,
  },
  {
    id: 'D68',
    cause: 'image-store-damaged',
    certainty: 'likely',
    rank: 'definite',
    patterns: [
      /parent snapshot .{0,120}does not exist/,
      /snapshot .{0,120}(?:does not exist|already exists|not found)/,
      /failed to prepare extraction snapshot/,
      /failed to (?:stat|create|prepare|commit) (?:parent|snapshot)/,
      /reader from content store/,
      // containerd v2.4, internal/cri/server/container_create.go: the image was removed after the pull.
      /failed to get image from containerd/,
      /failed to resolve image ‹\w+›: .{0,120}not found/,
      /content digest .{0,120}not found/,
      /(?:image|layer) not known|does not resolve to an image id/,
      /layer does not exist/,
      /unpack destination .{0,120}already exists/,
      /identifier is not an image|uses a different top layer|that id is already in use/,
      /readlink ‹path›: invalid argument/,
      /(?:failed|error).{0,40}(?:creating|mount|to mount).{0,20}overlay/,
      /‹path›: (?:no such file or directory|file exists|device or resource busy)/,
      /metadata\.db|database not open|missing parent .{0,80}bucket/,
      /too many links|corrupt(?:ed)? (?:image|layer|content|store)/,
    ],
    means: "the node's image store has lost or damaged content",
    fix: 'remove the image and its content on that node, or clear its image store; then pull again',
    fixes: [
      {
        text: /pod ?sandbox/,
        fix: 'the node has lost parts of the image of the pod sandbox (pause): remove that image on the node (crictl rmi, or ctr -n k8s.io images rm), so that the runtime pulls it again',
      },
    ],
    isOfCreation: true,
    readsNode: true,
  },
  {
    id: 'D82',
    cause: 'node-mirror-config',
    certainty: 'likely',
    rank: 'definite',
    // Go, net/url/url.go and net/http/transport.go; containerd v2.4, core/remotes/docker/config/hosts.go.
    patterns: [
      /missing protocol scheme|unsupported protocol scheme/,
      /invalid port .{1,80} after host|first path segment in url cannot contain colon/,
      /unable to (?:parse server|read ca cert|load ca cert|read cert file|cast .{1,80} to string)/,
      /failed to load x509 key pair|unknown capability|invalid type .{1,40} for "(?:ca|client|host)"|invalid .?host.? tree/,
      /no host (?:in request )?url|(?:missing port|too many colons) in address/,
      // The file itself: hosts.toml, registries.conf.
      /\b(?:decode|parse) (?:toml|‹host›)|\btoml: |load(?:ing)? registries config/,
    ],
    means: "the node's configuration of registries and mirrors is not valid",
    fix: 'correct the endpoint, with its scheme (https://HOST:PORT), in hosts.toml, registries.yaml or registries.conf of the node; check the paths of CA and client certificate',
    isAvoidedByMirror: true,
  },
] as const satisfies readonly RuleData[]
