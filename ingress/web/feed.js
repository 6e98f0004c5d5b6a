// @ts-check
// The live feed. Reconnects by itself, and goes on where it was: an event is never seen twice, none is missed. Where that
// cannot be, the pages are told to read their lists anew. A page that nobody sees rests.

import { address, showSession } from "./api.js";
import { eventsIn } from "./event-stream.js";

/** @typedef {"connecting" | "live" | "lost"} FeedState */

const SHORTEST_PAUSE = 500;
const LONGEST_PAUSE = 10_000;
/** How long a page that nobody sees keeps its connection, in milliseconds: all tabs together have six of them at most. */
const KEPT_UNSEEN = 5_000;

/** What an event of the feed tells, and its id. */
export class FeedEvent extends Event {
  /**
   * @param {string} kind
   * @param {any} detail
   * @param {string} id
   */
  constructor(kind, detail, id) {
    super(kind);
    this.detail = detail;
    this.id = id;
  }
}

export class Feed extends EventTarget {
  /** @type {FeedState} */
  state = "connecting";
  #lastId = "";
  #pause = SHORTEST_PAUSE;
  #following = new AbortController();
  /** @type {number | undefined} */
  #timer;
  #unseen = 0;
  #rests = false;
  /** What the browser tells of who sees the page, and what that leads to. @type {[EventTarget, string, () => void][]} */
  #sights = [
    [document, "visibilitychange", () => (document.hidden ? this.#restSoon() : this.#wake())],
    // The browser keeps pages that were left, to come back to them.
    [window, "pagehide", () => this.#rest()],
    [window, "pageshow", () => this.#wake()],
  ];

  start() {
    for (const [target, event, react] of this.#sights) target.addEventListener(event, react);
    this.#connect();
    if (document.hidden) this.#restSoon();
  }

  stop() {
    for (const [target, event, react] of this.#sights) target.removeEventListener(event, react);
    clearTimeout(this.#unseen);
    this.#rests = false;
    this.#disconnect();
  }

  #restSoon() {
    clearTimeout(this.#unseen);
    this.#unseen = setTimeout(() => this.#rest(), KEPT_UNSEEN);
  }

  #rest() {
    clearTimeout(this.#unseen);
    this.#rests = true;
    this.#disconnect();
  }

  #wake() {
    clearTimeout(this.#unseen);
    if (!this.#rests) return;
    this.#rests = false;
    this.#become("connecting");
    this.#connect();
    // It cannot go on where it was.
    if (!this.#lastId) this.dispatchEvent(new CustomEvent("reload"));
    if (document.hidden) this.#restSoon();
  }

  #connect() {
    const { signal } = (this.#following = new AbortController());
    const ended = () => {
      if (signal.aborted) return;
      this.#become("lost");
      this.#again(this.#pause);
      this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
    };
    this.#follow(signal).then(ended, ended);
  }

  #disconnect() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#following.abort();
  }

  /**
   * Tells what comes, until that ends or is not wanted any more.
   * @param {AbortSignal} signal
   */
  async #follow(signal) {
    const answer = await fetch(address("events", { lastEventId: this.#lastId }), { signal, cache: "no-store", credentials: "same-origin" });
    if (!answer.ok || !answer.body) return;
    this.#pause = SHORTEST_PAUSE;
    this.#become("live");
    for await (const { kind, id, data } of eventsIn(answer.body)) {
      if (signal.aborted) return;
      if (kind === "reload") return this.#beginAnew();
      if (id) this.#lastId = id;
      if (kind) this.dispatchEvent(new FeedEvent(kind, JSON.parse(data), id));
    }
  }

  #beginAnew() {
    this.#lastId = "";
    this.#again(200);
    this.dispatchEvent(new CustomEvent("reload"));
  }

  /** @param {number} pause */
  #again(pause) {
    this.#disconnect();
    const timer = setTimeout(async () => {
      // Ended sessions are told by the API's error.
      await showSession().catch(() => {});
      if (this.#timer === timer) this.#connect();
    }, pause);
    this.#timer = timer;
  }

  /** @param {FeedState} state */
  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }
}
