// @ts-check
// How Stormhook itself is: ingresses, workers, partitions, platforms and the outcome log.

import { h, put } from "../dom.js";
import { count, durationText, number, timeOf } from "../time.js";
import { copyButton } from "../parts/copy.js";
import { statusMark } from "../parts/status.js";

/** @param {import("../shell.js").View} view */
export function systemPage({ store }) {
  const content = h("div", {}, h("p", { class: "faint", role: "status" }, "Loading…"));
  const element = h("div", {}, h("div", { class: "title" }, h("h1", {}, "System")), content);

  function show() {
    const { system, problem } = store;
    if (!system) return problem ? put(content, h("p", { class: "card problem" }, problem)) : undefined;
    const isOpen = content.querySelector("details")?.open ?? false;
    put(content, h("div", { class: "columns" }, ingress(system), workers(system), platforms(system), outcomeLog(system), partitions(system, isOpen)));
  }

  store.addEventListener("state", show);
  show();
  store.check();
  return { title: "System", element, leave: () => store.removeEventListener("state", show) };
}

/**
 * @param {string} title
 * @param {any[]} content
 */
function card(title, ...content) {
  return h("section", { class: "card" }, h("h2", {}, title), ...content);
}

/** @param {Record<string, any>} system */
function ingress({ ingress, ingresses, version }) {
  const parts = Object.entries(ingress.parts).map(([name, state]) => h("li", {}, statusMark(state === "ready" ? "succeeded" : "failed", name), state === "ready" ? "" : `: ${state}`));
  return card(
    "This ingress",
    h("p", {}, `Version ${version}, up since `, timeOf(ingress.startedAt), `, ${count(ingress.viewers, "viewer")} of the live feed.`),
    h("ul", { class: "plain" }, parts),
    ingresses?.length > 1 && h("p", {}, `It is one of ${count(ingresses.length, "ingress", "ingresses")}:`),
    ingresses?.length > 1 && h("ul", { class: "plain" }, ingresses.map((/** @type {string} */ id) => h("li", {}, statusMark("succeeded", id === ingress.id ? `${id} (answers here)` : id)))),
    h("p", { class: "help" }, "Ingresses keep nothing of their own: each takes every trigger, and any of them can go."),
  );
}

/** @param {Record<string, any>} system */
function workers({ worker, problem }) {
  if (!worker) return card("Workers", h("p", { class: "problem" }, problem ?? "No worker answers."));
  const owned = (/** @type {string} */ id) => worker.partitions.filter((/** @type {any} */ one) => one.holder === id).length;
  return card(
    "Workers",
    h("ul", { class: "plain" }, worker.workers.map((/** @type {string} */ id) => h("li", {}, statusMark("succeeded", id === worker.answeredBy ? `${id} (answers here)` : id), ` ${count(owned(id), "partition")}`))),
  );
}

/** @param {Record<string, any>} system */
function platforms({ worker }) {
  if (!worker) return null;
  const rows = worker.platforms.map((/** @type {any} */ one) => {
    const name = one.name && one.name !== one.projectId ? `${one.name} (${one.projectId})` : one.projectId;
    if (one.restsForSeconds) return h("li", {}, statusMark("failed", name), `: ${count(one.failures, "call")} in a row failed; left alone for ${durationText(one.restsForSeconds * 1000)}`);
    return h("li", {}, statusMark(one.failures > 0 ? "rejected" : "succeeded", name), one.failures > 0 ? `: the last ${count(one.failures, "call")} failed` : ": calls go well");
  });
  return card("Platforms", h("ul", { class: "plain" }, rows), h("p", { class: "help" }, "As the worker that answers sees them. After five failures in a row a platform is left alone for a while."));
}

/** @param {Record<string, any>} system */
function outcomeLog({ worker }) {
  if (!worker) return null;
  const { entries, head, verifiedAt } = worker.outcomeLog;
  return card(
    "Outcome log",
    head ? h("p", {}, count(entries, "entry", "entries"), verifiedAt ? ["; what there was at ", timeOf(verifiedAt), " was verified then"] : ", being verified", ".") : h("p", {}, "It is being read or rebuilt."),
    head && h("div", { class: "copy-line" }, h("code", { class: "hash" }, head), copyButton(head, "the head of the log")),
    h("p", { class: "help" }, "The hash of its last entry: equal on every worker at the same number of entries, and changed by any change of what was recorded."),
  );
}

/**
 * @param {Record<string, any>} system
 * @param {boolean} isOpen whether the single ones are shown, also when all is well
 */
function partitions({ worker }, isOpen) {
  if (!worker) return null;
  const names = new Map(worker.workers.map((/** @type {string} */ id, /** @type {number} */ index) => [id, worker.workers.length > 1 ? `worker ${index + 1}` : id]));
  const cells = worker.partitions.map((/** @type {any} */ one) => {
    const age = one.oldestWaiting ? Date.now() - Date.parse(one.oldestWaiting) : 0;
    const isLate = age > 2_000;
    const text = one.holder ? (isLate ? `waits ${durationText(age)}` : "caught up") : "nobody";
    const holder = one.holder ? (names.get(one.holder) ?? one.holder) : "nobody";
    return h("li", { class: !one.holder ? "bad" : isLate ? "late" : "", title: `partition ${one.partition}: ${holder}` }, h("span", { class: "number" }, one.partition), h("span", {}, text));
  });
  const waiting = worker.partitions.filter((/** @type {any} */ one) => one.oldestWaiting).length;
  const isCalm = cells.every((/** @type {HTMLElement} */ cell) => cell.className === "");
  return card(
    "Partitions",
    h("p", {}, `${number(worker.partitions.length)} in all; ${waiting === 0 ? "none has triggers that wait" : `${number(waiting)} with triggers that wait`}.`),
    h("p", { class: "help" }, "Groups are spread over partitions, and partitions over workers."),
    h("details", { open: isOpen || !isCalm }, h("summary", {}, "Each of them"), h("ul", { class: "partitions" }, cells)),
  );
}
