/** What SPEC "Refusals" names. */

export class Refusal extends Error {
  /** @param {string} refusal one of the names of SPEC "Refusals" */
  constructor (refusal, message) {
    super(`${refusal}: ${message}`)
    this.refusal = refusal
  }
}

export function refuse (refusal, message) {
  throw new Refusal(refusal, message)
}

/** Run `work`; whatever it refuses is refused under this one name instead. */
export function under (refusal, work) {
  try {
    return work()
  } catch (error) {
    if (error instanceof Refusal) refuse(refusal, error.message)
    throw error
  }
}
