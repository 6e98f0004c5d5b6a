// @ts-check
// What the pages share while a project is open: its receivers, its newest triggers, the services' names, and whether
// ingress and workers answer. Kept fresh by the live feed.

import { context, get, showSession } from "./api.js";
import { Feed, FeedEvent } from "./feed.js";

/**
 * @typedef {import("./words.js").Receiver} Receiver
 * @typedef {import("./words.js").Trigger} Trigger
 */

/** How many triggers are kept. */
const MOST = 20_000;
const CHECK_INTERVAL = 5_000;
const RENEW_INTERVAL = 240_000;

export class Store extends EventTarget {
  feed = new Feed();
  /** @type {Receiver[] | null} */
  receivers = null;
  /** @type {Map<number, Trigger>} by sequence, the oldest first but for what was loaded later */
  triggers = new Map();
  /** @type {Map<string, any>} by id */
  services = new Map();
  /** @type {Record<string, any> | null} */
  system = null;
  /** What does not work, as a sentence; empty when all is well. */
  problem = "";
  #timers = /** @type {number[]} */ ([]);
  #refetch = 0;
  #notified = new Set();
  #frame = 0;
  #newest = 0;

  start() {
    this.feed.addEventListener("trigger", (event) => this.#see(/** @type {FeedEvent} */ (event)));
    this.feed.addEventListener("outcome", (event) => this.#see(/** @type {FeedEvent} */ (event)));
    this.feed.addEventListener("receiver", () => {
      clearTimeout(this.#refetch);
      this.#refetch = setTimeout(() => this.loadReceivers().catch(() => {}), 100);
    });
    this.feed.addEventListener("reload", () => {
      this.triggers.clear();
      this.loadReceivers().catch(() => {});
      this.dispatchEvent(new CustomEvent("reload"));
    });
    this.feed.addEventListener("state", () => {
      this.check();
      this.tell("state");
    });
    this.feed.start();
    this.loadReceivers().catch(() => {});
    this.loadServices();
    this.check();
    this.#timers.push(setInterval(() => this.check(), CHECK_INTERVAL));
    this.#timers.push(setInterval(() => showSession().catch(() => {}), RENEW_INTERVAL));
  }

  stop() {
    this.feed.stop();
    this.#timers.forEach(clearInterval);
    clearTimeout(this.#refetch);
    cancelAnimationFrame(this.#frame);
  }

  async loadReceivers() {
    this.receivers = (await get("receivers")).data;
    this.tell("receivers");
  }

  async loadServices() {
    try {
      const targets = (await get("targets", { kind: "service" })).data;
      this.services = new Map(targets.map((/** @type {any} */ service) => [service.id, service]));
      this.tell("receivers");
    } catch {
      // Ids are shown instead of names.
    }
  }

  /** @param {string} id */
  serviceName(id) {
    return this.services.get(id)?.name ?? id;
  }

  /** @param {string} id */
  receiver(id) {
    return this.receivers?.find((receiver) => receiver.id === id) ?? null;
  }

  /** @param {Trigger[]} triggers */
  add(triggers) {
    for (const trigger of triggers) this.#keep(trigger);
    this.tell("triggers");
  }

  /** All triggers that are known, the newest first. */
  newestFirst() {
    return [...this.triggers.values()].sort((one, two) => two.sequence - one.sequence);
  }

  /** @param {FeedEvent} event */
  #see({ detail, id }) {
    this.#keep(detail);
    this.dispatchEvent(new FeedEvent("trigger", detail, id));
    this.tell("triggers");
  }

  /** @param {Trigger} trigger */
  #keep(trigger) {
    const known = this.triggers.get(trigger.sequence);
    if (known?.outcome && !trigger.outcome) return;
    this.triggers.set(trigger.sequence, trigger);
    this.#newest = Math.max(this.#newest, trigger.sequence);
    if (this.triggers.size > MOST) {
      const oldest = this.triggers.keys().next().value;
      if (oldest === undefined) return;
      this.triggers.delete(oldest);
      this.dispatchEvent(new CustomEvent("forgotten", { detail: oldest }));
    }
  }

  /** Looks whether ingress and workers answer. */
  async check() {
    if (document.hidden) return;
    try {
      this.system = await get("system");
      const stuck = this.system?.worker?.partitions.filter((/** @type {any} */ one) => !one.holder).length ?? 0;
      if (this.system?.problem) {
        this.problem = "No worker answers. Triggers are accepted and kept; they are acted upon as soon as a worker is back.";
      } else if (stuck > 0) {
        this.problem = `No worker has ${stuck} of the partitions just now. Their triggers wait until one takes over.`;
      } else if (this.feed.state === "lost") {
        this.problem = "The live feed is interrupted. Trying again…";
      } else {
        this.problem = "";
      }
    } catch (error) {
      if (!context.session) return;
      this.problem = `${/** @type {Error} */ (error).message} Trying again…`;
    }
    this.tell("state");
  }

  /**
   * Tells those who listen that something of a kind has changed: at most once a frame, however much happens.
   * @param {"receivers" | "triggers" | "state"} kind
   */
  tell(kind) {
    this.#notified.add(kind);
    if (this.#frame) return;
    const tell = () => {
      this.#frame = 0;
      const kinds = [...this.#notified];
      this.#notified.clear();
      for (const one of kinds) this.dispatchEvent(new CustomEvent(one));
    };
    this.#frame = document.hidden ? setTimeout(tell, 200) : requestAnimationFrame(tell);
  }
}
