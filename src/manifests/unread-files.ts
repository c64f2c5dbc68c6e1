/** Collects the files of `-f` that cannot be read as manifests, so that the command can handle the others. */
import { BerthError } from '../errors.ts'
import { groupNotes } from './group-notes.ts'

export interface UnreadFiles {
  /** Records a file that has no manifest, for example a template in a directory. */
  skip(place: string, why: string): void
  /** Records a file that should have manifests. The command then ends with `throwInvalid`. */
  reject(message: string): void
  /** Calls `onProblem` with the skipped files, one message for each reason. */
  reportSkipped(onProblem: (message: string) => void): void
  hasInvalid(): boolean
  /** Throws `manifest-invalid` with the rejected files, if there are any. */
  throwInvalid(): void
}

/** Messages in one error. Users fix the first files first. */
const maxErrors = 20

export function createUnreadFiles(): UnreadFiles {
  const errors: string[] = []
  const skipped: { place: string; why: string }[] = []
  return {
    skip: (place, why) => void skipped.push({ place, why }),
    reject: (message) => void errors.push(message),
    reportSkipped: (onProblem) => {
      const notes = skipped.map(({ place, why }) => ({ place, about: 'file', message: why }))
      skipped.length = 0
      for (const { places, count, message } of groupNotes(notes)) {
        // Every reason begins with `it`, for one file.
        const text =
          count === 1
            ? `${places}: skipped, because ${message}`
            : `${count} files are skipped, because ${message.replace(/^it /, 'each ')} (${places})`
        onProblem(text)
      }
    },
    hasInvalid: () => errors.length > 0,
    throwInvalid: () => {
      if (errors.length === 0) return
      const more = errors.length - maxErrors
      const lines = [...errors.slice(0, maxErrors), ...(more > 0 ? [`and ${more} more`] : [])]
      throw new BerthError('manifest-invalid', lines.join('\n'))
    },
  }
}
