/** Types of values that several sections of the config file use. */
import { z } from 'zod'

/** A DNS-1123 subdomain, as Kubernetes requires it for the name of a Secret (apimachinery, validation.go). */
export const secretName = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/, {
    error: 'not a valid name of a Secret; use lower-case letters, digits, `-` and `.`',
  })

/** YAML reads `1.10` as the number 1.1, so a tag without quotes may already be wrong. */
export const tag = z.string({
  error: 'the tag is not text; write it in quotes, for example "1.10"',
})

export const pattern = z
  .string()
  .describe(
    'A repository, or a glob over HOST/PATH with * (within a segment), ** (any segments), ? and […]. Examples: docker.io/**, ghcr.io/acme/*.',
  )

/** A required key with one value. */
export function literal<Text extends string>(text: Text): z.ZodLiteral<Text> {
  return z.literal(text, {
    error: ({ input }) =>
      input === undefined ? `the key is missing; write ${text}` : `must be ${text}`,
  })
}

/** An object without other keys. For an unknown key, the message is the list of known keys (`shape-problems.ts`). */
export function object<Shape extends z.ZodRawShape>(
  shape: Shape,
): z.ZodObject<Shape, z.core.$strict> {
  const known = Object.keys(shape).join(', ')
  return z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? known : undefined),
  })
}

/** Platforms of nodes. The architectures are those for which Kubernetes has nodes (kubernetes, server platforms), and their variants. */
export const platforms = z
  .array(
    z
      .string()
      .regex(
        /^(?:linux|windows)\/(?:386|amd64|arm|arm64|loong64|mips64le|ppc64le|riscv64|s390x)(?:\/v[1-9])?$/,
        { error: 'not a platform; write OS/ARCH or OS/ARCH/VARIANT, for example linux/arm64' },
      ),
  )
  .min(1)
  .max(16)
