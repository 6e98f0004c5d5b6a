// @ts-check
// Folds storms: triggers of one receiver that came to the same end within seconds become one row. What is folded once
// stays folded: triggers are kept in stretches of the log, and only stretches in which something changed are read again,
// so that a storm costs what is new of it and not what there is of it.

import { statusOf } from "./words.js";

/** @typedef {import("./words.js").Trigger} Trigger */
/**
 * @typedef {{key: string, count: number, newest: Trigger, oldest: Trigger, parts: Trigger[][]}} Fold
 * `parts`: its triggers, the newest first
 * @typedef {{kind: string, newestAt: number, oldestAt: number, triggers: Trigger[]}} Run
 * @typedef {{runs: Run[], statuses: Record<string, number>}} Stretch
 * `runs`: those whose newest trigger is newer come first
 */

/** The longest pause within a storm. */
const PAUSE = 5_000;
/** Fewer stand for themselves. */
const LEAST = 4;
/** How many places of the log a stretch has. */
const SIZE = 256;

export class Folds {
  #find;
  #fits;
  /** @type {Map<number, Stretch>} */
  #stretches = new Map();
  /** @type {Set<number>} stretches to be read again */
  #changed = new Set();

  /**
   * @param {(sequence: number) => Trigger | undefined} find
   * @param {(trigger: Trigger) => boolean} fits which triggers are shown
   */
  constructor(find, fits) {
    this.#find = find;
    this.#fits = fits;
  }

  /**
   * The trigger at this place is new, has changed or is gone.
   * @param {number} sequence
   */
  touch(sequence) {
    this.#changed.add(Math.floor(sequence / SIZE));
  }

  /**
   * Begins anew with the triggers at these places.
   * @param {Iterable<number>} sequences
   */
  reset(sequences) {
    this.#stretches.clear();
    this.#changed.clear();
    for (const sequence of sequences) this.touch(sequence);
  }

  /**
   * All rows, the newest first, and how many triggers are in which status. A row of one trigger stands for itself.
   * @returns {{rows: Fold[], statuses: Record<string, number>}}
   */
  read() {
    for (const number of this.#changed) {
      const stretch = this.#stretch(number);
      if (stretch.runs.length > 0) this.#stretches.set(number, stretch);
      else this.#stretches.delete(number);
    }
    this.#changed.clear();
    const newestFirst = [...this.#stretches].sort(([one], [two]) => two - one).map(([, stretch]) => stretch);
    const statuses = noStatuses();
    for (const stretch of newestFirst) {
      for (const [status, count] of Object.entries(stretch.statuses)) statuses[status] += count;
    }
    const rows = joined(newestFirst).flatMap((one) => (one.count >= LEAST ? [one] : one.parts.flat().map(single)));
    return { rows: rows.sort((one, two) => two.newest.sequence - one.newest.sequence), statuses };
  }

  /** @param {number} number */
  #stretch(number) {
    /** @type {Stretch} */
    const stretch = { runs: [], statuses: noStatuses() };
    /** @type {Map<string, Run>} */
    const open = new Map();
    for (let sequence = (number + 1) * SIZE - 1; sequence >= number * SIZE; sequence -= 1) {
      const trigger = this.#find(sequence);
      if (!trigger || !this.#fits(trigger)) continue;
      stretch.statuses[statusOf(trigger)] += 1;
      const kind = `${trigger.receiverId} ${trigger.outcome?.code ?? "pending"}`;
      const at = Date.parse(trigger.acceptedAt);
      const run = open.get(kind);
      if (run && run.oldestAt - at <= PAUSE) {
        run.triggers.push(trigger);
        run.oldestAt = at;
      } else {
        const begun = { kind, newestAt: at, oldestAt: at, triggers: [trigger] };
        open.set(kind, begun);
        stretch.runs.push(begun);
      }
    }
    return stretch;
  }
}

/**
 * Joins the runs of a kind that go on from stretch to stretch.
 * @param {Stretch[]} newestFirst
 */
function joined(newestFirst) {
  /** @type {Map<string, Fold & {oldestAt: number}>} */
  const open = new Map();
  /** @type {Fold[]} */
  const folds = [];
  for (const { kind, newestAt, oldestAt, triggers } of newestFirst.flatMap((stretch) => stretch.runs)) {
    const oldest = triggers[triggers.length - 1];
    const end = { key: `${kind} ${oldest.sequence}`, oldest, oldestAt };
    const current = open.get(kind);
    if (current && current.oldestAt - newestAt <= PAUSE) {
      current.parts.push(triggers);
      Object.assign(current, end, { count: current.count + triggers.length });
    } else {
      const begun = { count: triggers.length, newest: triggers[0], parts: [triggers], ...end };
      open.set(kind, begun);
      folds.push(begun);
    }
  }
  return folds;
}

/**
 * @param {Trigger} trigger
 * @returns {Fold}
 */
function single(trigger) {
  return { key: `${trigger.sequence}`, count: 1, newest: trigger, oldest: trigger, parts: [[trigger]] };
}

/** @returns {Record<string, number>} */
function noStatuses() {
  return { pending: 0, succeeded: 0, rejected: 0, skipped: 0, failed: 0 };
}
