// @ts-check
// What receivers got in the last hour: counted by the server, and gone on with from the live feed. An outcome is counted
// once, by where it stands in the ledger: up to `through` by the server, beyond that here.

/** @typedef {import("./words.js").Trigger} Trigger */
/**
 * @typedef {{id: string, sequence: number, outcome: {status: string, code: string, message: string} | null}} Newest
 * @typedef {{receiverId: string, minutes: number[], newest: {id: string, sequence: number, status: string, code: string, message: string}}} Count
 */

const MINUTE = 60_000;
const MINUTES = 60;

export class Tally {
  /** Everything up to there in the ledger was counted by the server. */
  #through = -1;
  /** By how many minutes the server's clock is ahead of the browser's. */
  #ahead = 0;
  /** @type {Map<string, Map<number, number>>} by receiver, by minute since 1970 */
  #counts = new Map();
  /** @type {{receiverId: string, minute: number, place: number}[]} what has come beyond `through` */
  #beyond = [];
  /** @type {Map<string, Newest>} by receiver */
  #newest = new Map();

  /**
   * Takes what the server counted, unless more is known: workers answer in turns, and one may be behind the other.
   * @param {{since: string, through: number, data: Count[]}} counted
   */
  take({ since, through, data }) {
    if (through < this.#through) return;
    this.#through = through;
    const first = Date.parse(since) / MINUTE;
    this.#ahead = first + MINUTES - 1 - Math.floor(Date.now() / MINUTE);
    this.#counts = new Map(data.map(({ receiverId, minutes }) => [receiverId, new Map(minutes.map((count, index) => [first + index, count]))]));
    this.#beyond = this.#beyond.filter(({ place }) => place > through);
    this.#beyond.forEach((one) => this.#add(one));
    for (const { receiverId, newest } of data) this.#note(receiverId, { id: newest.id, sequence: newest.sequence, outcome: newest });
  }

  /**
   * Takes an event of the feed.
   * @param {Trigger} trigger
   * @param {string} eventId
   */
  see(trigger, eventId) {
    this.#note(trigger.receiverId, { id: trigger.id, sequence: trigger.sequence, outcome: trigger.outcome });
    // Ids of events begin with the place in the ledger: "41-1042-7", or "41.3-1042-7" in the midst of a record.
    const place = Number.parseInt(eventId, 10);
    if (!trigger.outcome || place <= this.#through) return;
    const one = { receiverId: trigger.receiverId, minute: Math.floor(Date.parse(trigger.acceptedAt) / MINUTE), place };
    this.#beyond.push(one);
    this.#add(one);
  }

  /** Forgets everything, as events were missed. */
  clear() {
    this.#through = -1;
    this.#counts.clear();
    this.#beyond = [];
  }

  /**
   * How many triggers that the receiver got in each minute of the last hour are settled, the oldest minute first.
   * @param {string} receiverId
   */
  minutes(receiverId) {
    const first = Math.floor(Date.now() / MINUTE) + this.#ahead - MINUTES + 1;
    const counts = this.#counts.get(receiverId);
    return Array.from({ length: MINUTES }, (_, index) => counts?.get(first + index) ?? 0);
  }

  /** @param {string} receiverId */
  newest(receiverId) {
    return this.#newest.get(receiverId) ?? null;
  }

  /** @param {{receiverId: string, minute: number}} one */
  #add({ receiverId, minute }) {
    const counts = this.#counts.get(receiverId) ?? new Map();
    counts.set(minute, (counts.get(minute) ?? 0) + 1);
    this.#counts.set(receiverId, counts);
  }

  /**
   * @param {string} receiverId
   * @param {Newest} newest
   */
  #note(receiverId, newest) {
    const known = this.#newest.get(receiverId);
    if (!known || known.sequence < newest.sequence || (known.sequence === newest.sequence && newest.outcome)) this.#newest.set(receiverId, newest);
  }
}
