/** Reads the version of a runtime or distribution as people write it. */
import { SemVer } from 'semver'

/** Parses `1.7`, `v1.30.4+k3s1` and `2`, without pre-release and build parts. Null when the text is not a version. */
export function readVersion(text: string): SemVer | null {
  const [, major, minor = '0', patch = '0'] =
    /^v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:[-+~].*)?$/.exec(text) ?? []
  return major === undefined
    ? null
    : new SemVer(`${Number(major)}.${Number(minor)}.${Number(patch)}`)
}
