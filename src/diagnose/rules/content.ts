import type { Rule } from './rule.ts'

/** What is wrong with the image, or with its name, at the registry. */
export const contentRules: readonly Rule[] = [
  {
    rule: 'D35',
    cause: 'platform-missing',
    certainty: 'likely',
    rank: 'definite',
    patterns: [
      /no match for (?:current )?platform/,
      /no matching manifest/,
      /no image found in (?:manifest list|image index)/,
      /does not match the specified platform/,
      /no (?:supported|matching) (?:platform|child|manifest)/,
      /operating system .{0,60}(?:cannot be used|not supported|does not match)/,
      /incompatible with .{0,60}host/,
      /choosing an? image from manifest list/,
    ],
    means:
      "the image is not for the node's system or architecture, or the mirror copied only one of them",
    fix: 'copy all platforms and pin the digest of the index, or choose nodes that fit',
  },
  {
    rule: 'D36',
    cause: 'manifest-unsupported',
    certainty: 'likely',
    rank: 'definite',
    patterns: [
      /media ?type .{0,160}no longer supported/,
      /manifest\.v1\+|prettyjws/,
      /schema ?(?:version ?)?1\b/,
      /(?:unexpected|unsupported|unknown|invalid) .{0,40}media ?type/,
      /unsupported image-specific operation/,
      /unsupported manifest|unknown manifest|no signatures$/,
      /media ?type .{0,60}should be|encountered unknown type/,
    ],
    means:
      'what came is no image that the runtime can read: an old schema 1 manifest, another kind of artifact, or a web page',
    fix: 'build or convert the image anew; for text/html, look for a login page or a wrong path',
  },
  {
    rule: 'D39',
    cause: 'blob-missing',
    certainty: 'likely',
    rank: 'definite',
    patterns: [
      /(?:manifest_)?blob[_ ]unknown|unknown blob/,
      /content at .{1,300} not found/,
      /fetch content descriptor .{0,200}not found/,
      /\bblobs?\b.{0,160}(?:not found|\b404\b|does not exist)/,
    ],
    means: 'the registry has the manifest but not all that it names: a copy that was not finished',
    fix: 'copy the image again, and check every blob',
  },
  {
    rule: 'D37',
    cause: 'tag-missing',
    certainty: 'likely',
    rank: 'definite',
    patterns: [
      /manifest[_ ]?unknown/,
      /manifest (?:for |tagged by )?(?:‹\w+› )?(?:is )?not found|no such manifest/,
      /artifact ‹name› not found/,
      /requested image not found|image with imageid .{0,200}does not exist/,
      /\btag\b.{0,80}(?:not found|does ?n[o']t exist|was deleted|has expired)/,
      /failed to fetch ‹name› from request/,
    ],
    means: 'the repository is there, and the tag or digest is not',
    fix: 'use a tag that exists, or push this one',
  },
  {
    rule: 'D38',
    cause: 'repository-missing',
    certainty: 'likely',
    rank: 'definite',
    patterns: [
      /name[_ ]unknown/,
      /repository name not known/,
      /does not exist in the registry/,
      /(?:repository|repo|project|namespace)\b.{0,120}(?:not found|does not exist|not exist)/,
      /no such repository/,
    ],
    means: 'the registry knows no repository of this name (in this account, project or region)',
    fix: 'correct the path (library/, project, prefix), or create the repository and push to it',
  },
  {
    rule: 'D62',
    cause: 'layer-unusable',
    certainty: 'likely',
    rank: 'definite',
    patterns: [
      /(?:extract|register|unpack|decode|apply|applying) (?:the )?layer|applylayer/,
      /invalid tar header|archive\/tar|error processing tar/,
      /l?chown/,
      /operation not permitted/,
      /cannot be mapped to a host id|insufficient uids/,
      /hcsshim|processbaselayer|importlayer/,
      /gzip: invalid|zlib: invalid|zstd: /,
    ],
    means:
      'a layer arrived and cannot be unpacked: its content, its owners, or what the node supports',
    fix: 'build the image anew; for owners beyond the range, widen the subordinate ids of the node',
  },
  {
    rule: 'D73',
    cause: 'request-rejected',
    certainty: 'likely',
    rank: 'vague',
    patterns: [
      /(?:status|http|code|error)\b.{0,120}\b4(?:0[05-9]|1\d|2[0-8])\b/,
      /bad request|method not allowed|not acceptable|requested range not satisfiable/,
    ],
    means: 'the registry, or a proxy in its place, does not accept the request itself',
    fix: 'ask the same of the registry without the mirror or proxy between, and look at its log',
  },
  {
    rule: 'D69',
    cause: 'not-a-registry',
    certainty: 'likely',
    rank: 'vague',
    patterns: [
      /(?<!http 404 response body: )invalid character .{1,3} (?:looking for|after|in)/,
      /^(?!.*http 404 response body).*(?:<html|<!doctype|text\/html)/,
      /(?:pinging|ping) .{0,200}(?:\b404\b|not found)|invalid status code from registry 404/,
      /unexpected end of json/,
    ],
    means:
      'the answer is no answer of a registry: a login page, a filter, or a path that leads elsewhere',
    fix: "open the registry's /v2/ from the node, and see who answers",
  },
  {
    rule: 'D40',
    cause: 'not-found',
    certainty: 'likely',
    rank: 'ambiguous',
    patterns: [/not found/, /\b404\b/, /no such image|image does not exist/],
    means: 'the tag or the whole repository is missing on the last registry that was asked',
    fix: 'check the name and the tag; on a mirror, copy the image there',
  },
]

/** The verdict when no rule knows the text. */
export const unknown: Rule = {
  rule: 'D99',
  cause: 'unknown',
  certainty: 'unknown',
  rank: 'unknown',
  patterns: [],
  means: 'no rule knows this text',
  fix: 'read the message; a kubelet that only says "Back-off" has told the cause in an earlier event',
}
