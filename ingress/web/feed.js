// @ts-check
// The live feed. Reconnects by itself, and goes on where it was: an event is never seen twice, none is missed. Where that
// cannot be, the pages are told to read their lists anew.

import { address, showSession } from "./api.js";

/** @typedef {"connecting" | "live" | "lost"} FeedState */

const KINDS = ["begin", "trigger", "outcome", "receiver"];
const LONGEST_PAUSE = 10_000;

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
  #pause = 500;
  /** @type {EventSource | null} */
  #source = null;
  /** @type {number | undefined} */
  #timer;

  start() {
    const source = new EventSource(address("events", { lastEventId: this.#lastId }));
    this.#source = source;
    source.addEventListener("open", () => {
      this.#pause = 500;
      this.#become("live");
    });
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => {
        this.#lastId = event.lastEventId;
        this.dispatchEvent(new FeedEvent(kind, JSON.parse(event.data), event.lastEventId));
      });
    }
    source.addEventListener("reload", () => {
      this.#lastId = "";
      this.#again(200);
      this.dispatchEvent(new CustomEvent("reload"));
    });
    source.addEventListener("error", () => {
      this.#become("lost");
      // The browser tries again by itself only while it calls the connection interrupted.
      if (source.readyState === EventSource.CLOSED) {
        this.#again(this.#pause);
        this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
      }
    });
  }

  stop() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  /** @param {number} pause */
  #again(pause) {
    this.stop();
    this.#timer = setTimeout(async () => {
      // Ended sessions are told by the API's error.
      await showSession().catch(() => {});
      this.start();
    }, pause);
  }

  /** @param {FeedState} state */
  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }
}
