// @ts-check
// Folds storms: triggers of one receiver that came to the same end within seconds become one row.

import { statusOf } from "./words.js";

/** @typedef {import("./words.js").Trigger} Trigger */
/**
 * @typedef {{key: string, triggers: Trigger[]}} Fold
 * `triggers`: the newest first
 */

/** The longest pause within a storm. */
const PAUSE = 5_000;
/** Fewer stand for themselves. */
const LEAST = 4;

/**
 * The rows for these triggers. A row of one trigger stands for itself.
 * @param {Trigger[]} newestFirst
 * @returns {Fold[]} the newest first
 */
export function fold(newestFirst) {
  /** @type {Map<string, Fold & {oldest: number}>} */
  const open = new Map();
  /** @type {Fold[]} */
  const folds = [];
  for (const trigger of newestFirst) {
    const kind = `${trigger.receiverId} ${trigger.outcome?.code ?? "pending"}`;
    const at = Date.parse(trigger.acceptedAt);
    const current = open.get(kind);
    if (current && current.oldest - at <= PAUSE) {
      current.triggers.push(trigger);
      current.oldest = at;
    } else {
      const begun = { key: `${kind} ${trigger.sequence}`, triggers: [trigger], oldest: at };
      open.set(kind, begun);
      folds.push(begun);
    }
  }
  const rows = folds.flatMap((one) =>
    one.triggers.length >= LEAST ? [{ ...one, key: `${one.key.split(" ").slice(0, 2).join(" ")} ${one.triggers.at(-1)?.sequence}` }] : one.triggers.map((trigger) => ({ key: `${trigger.sequence}`, triggers: [trigger] })),
  );
  return rows.sort((one, two) => two.triggers[0].sequence - one.triggers[0].sequence);
}

/**
 * How many triggers are in which status.
 * @param {Trigger[]} triggers
 */
export function countStatuses(triggers) {
  /** @type {Record<string, number>} */
  const counts = { pending: 0, succeeded: 0, rejected: 0, skipped: 0, failed: 0 };
  for (const trigger of triggers) counts[statusOf(trigger)] += 1;
  return counts;
}
