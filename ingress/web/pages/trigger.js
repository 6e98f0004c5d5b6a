// @ts-check
// One trigger: what came, what was decided and why, what was done, as a timeline.

import { change, get, mayWrite } from "../api.js";
import { entitle, h, put } from "../dom.js";
import { go, link } from "../router.js";
import { between, bytesText, count, dateOf, durationText, timeOf } from "../time.js";
import { KINDS, actionText, codeText, groupText, statusOf } from "../words.js";
import { ask } from "../parts/dialog.js";
import { failure, loading } from "../parts/notes.js";
import { statusMark } from "../parts/status.js";
import { cell } from "../parts/table.js";

/** @typedef {import("../words.js").Trigger} Trigger */

/** @param {import("../shell.js").View} view */
export function triggerPage({ store, project, path }) {
  const id = path[1];
  const element = h("div", {}, loading());

  async function load() {
    try {
      show(await get(`triggers/${id}`));
    } catch (error) {
      put(element, failure(/** @type {Error} */ (error), load));
    }
  }

  /** @param {Trigger} trigger */
  function show(trigger) {
    const status = statusOf(trigger);
    const verdict = trigger.outcome ? codeText(trigger.outcome.code) : "pending";
    entitle(`${trigger.receiverName ?? "Trigger"}: ${verdict}`);
    const sentence = trigger.outcome?.message ?? "It is accepted, and waits for its turn.";
    put(
      element,
      h(
        "div",
        { class: "title" },
        h("h1", {}, statusMark(status, verdict)),
        mayWrite() && !trigger.parentId && h("button", { type: "button", click: () => redeliver(trigger) }, "Redeliver"),
      ),
      h("p", { class: "sentence" }, sentence),
      h("p", { class: "faint" }, "Accepted ", dateOf(trigger.acceptedAt)),
      h("p", { class: "links" }, receiverLink(trigger), h("a", { href: link(project, ["groups", trigger.group]) }, `Group: ${groupText(trigger.group, (id) => store.serviceName(id))}`), h("a", { href: link(project, ["activity"], { group: trigger.group }) }, "All of the group")),
      h("section", { class: "card" }, h("h2", {}, "What happened"), timeline(trigger)),
      trigger.children?.length > 0 && parts(trigger),
      body(trigger),
      facts(trigger),
    );
  }

  /** @param {Trigger} trigger */
  function receiverLink(trigger) {
    if (!trigger.receiverId) return null;
    const name = trigger.receiverName ?? trigger.receiverId;
    return store.receivers && !store.receiver(trigger.receiverId) ? h("span", {}, `${name} (deleted)`) : h("a", { href: link(project, ["receivers", trigger.receiverId]) }, name);
  }

  /** @param {Trigger} trigger */
  function timeline(trigger) {
    const { plan, outcome } = trigger;
    const calls = (/** @type {string} */ phase) => (trigger.calls ?? []).filter((/** @type {any} */ one) => one.phase === phase).map(callStep);
    const steps = [step(trigger.acceptedAt, "Accepted", cause(trigger)), ...calls("decision")];
    if (plan) {
      const shared = plan.triggers > 1 ? `one plan for ${count(plan.triggers, "trigger")} that waited together: ` : "plan: ";
      const decided = [shared, actionText(plan.action)];
      if (plan.drift) decided.push(`. Somebody else had changed the scale meanwhile: ${plan.drift.left} was left, ${plan.drift.found} was found`);
      steps.push(step(plan.decidedAt, "Decided", decided, between(trigger.acceptedAt, plan.decidedAt)));
    }
    steps.push(...calls("action"));
    if (trigger.callsLeftOut > 0) steps.push(h("li", { class: "call" }, h("p", { class: "faint" }, `${count(trigger.callsLeftOut, "further call")} between the first and the last are not kept`)));
    if (outcome) {
      const attempts = outcome.attempts > 0 ? ` after ${count(outcome.attempts, "attempt")}` : "";
      const revision = outcome.receiverRevision ? ` The receiver was at revision ${outcome.receiverRevision}.` : "";
      steps.push(step(outcome.settledAt, plan ? "Settled" : "Decided and settled", [statusMark(outcome.status, codeText(outcome.code)), `${attempts}: ${outcome.message}.${revision}`], between(trigger.acceptedAt, outcome.settledAt)));
    } else {
      steps.push(h("li", { class: "open" }, h("h3", {}, "Waits"), h("p", {}, waitText(trigger))));
    }
    return h("ol", { class: "timeline" }, steps);
  }

  /** @param {Trigger} trigger */
  function cause(trigger) {
    const { address, userAgent } = trigger.source ?? {};
    const who = address ? `from ${address}${userAgent ? `, ${userAgent}` : ""}` : "by Stormhook itself";
    return [
      who,
      trigger.replayOf && [", again: ", h("a", { href: link(project, ["triggers", trigger.replayOf]) }, "the first delivery")],
      trigger.parentId && [", as a part of ", h("a", { href: link(project, ["triggers", trigger.parentId]) }, "this upgrade")],
    ].flat();
  }

  /** @param {Trigger} trigger */
  async function redeliver(trigger) {
    ask({
      title: "Redeliver this trigger?",
      body: [h("p", {}, `The same request is acted upon once more, as a new trigger of ${trigger.receiverName}, under the receiver's present configuration.`), h("p", {}, h("label", { class: "radio" }, h("input", { type: "checkbox", name: "ignoreCooldown" }), "even while the receiver or its group cools down"))],
      action: "Redeliver",
      act: async (form) => {
        const query = new FormData(form).has("ignoreCooldown") ? { action: "redeliver", ignoreCooldown: "true" } : { action: "redeliver" };
        const again = await change("POST", `triggers/${trigger.id}`, {}, /** @type {Record<string, string>} */ (query));
        go(link(project, ["triggers", again.id]));
      },
    });
  }

  /** @param {Trigger} trigger */
  function parts(trigger) {
    const rows = trigger.children.map((/** @type {Trigger} */ child) =>
      h("tr", {}, cell("Service", h("a", { href: link(project, ["triggers", child.id]) }, groupText(child.group, (id) => store.serviceName(id)))), cell("Verdict", statusMark(statusOf(child), child.outcome ? codeText(child.outcome.code) : "pending")), cell("What", child.outcome?.message ?? "")),
    );
    return h("section", { class: "card" }, h("h2", {}, "Parts"), h("table", { class: "cards" }, h("tbody", {}, rows)));
  }

  const see = (/** @type {Event} */ event) => {
    const seen = /** @type {import("../feed.js").FeedEvent} */ (event).detail;
    if (seen.id === id || seen.parentId === id) {
      // The worker's log takes the outcome in a moment after the feed told of it.
      setTimeout(load, 150);
    }
  };
  store.addEventListener("trigger", see);
  load();
  return { title: "Trigger", element, leave: () => store.removeEventListener("trigger", see) };
}

/**
 * @param {string} at
 * @param {string} title
 * @param {any[]} text
 * @param {string} [after]
 */
function step(at, title, text, after) {
  return h("li", {}, h("h3", {}, title, " ", h("span", { class: "faint" }, timeOf(at), after && `, ${after} after the request`)), h("p", {}, text));
}

/** @param {Record<string, any>} called a call of the platform */
function callStep({ what, at, millis, error }) {
  const text = [h("code", {}, what), " ", h("span", { class: "faint" }, timeOf(at), `, took ${durationText(millis)}${error ? "" : ", went well"}`)];
  return h("li", { class: error ? "call bad" : "call" }, h("p", {}, text), error && h("p", { class: "problem" }, error));
}

/** @param {Trigger} trigger */
function waitText({ waiting, group }) {
  if (!waiting) return `for ${groupText(group)}: triggers of a group are decided one after the other.`;
  const ahead = waiting.ahead > 0 ? `${waiting.isMore ? "at least " : ""}${count(waiting.ahead, "trigger")} of its group ${waiting.ahead === 1 ? "comes" : "come"} before it. ` : "";
  return `${ahead}${waiting.waitsFor ?? ""}`;
}

/** @param {Trigger} trigger */
function body(trigger) {
  const text = trigger.body;
  if (text === null && trigger.bodyBase64 === undefined) {
    return h("section", { class: "card" }, h("h2", {}, "Body"), h("p", { class: "faint" }, trigger.bodyBytes ? "It is not in the trigger log any more." : "It had none."));
  }
  const isBinary = text === null;
  const pretty = isBinary ? trigger.bodyBase64 : prettyPrinted(text);
  const about = [bytesText(trigger.bodyBytes ?? 0), trigger.contentType, isBinary && "shown in base64"].filter(Boolean).join(", ");
  if (!pretty) return h("section", { class: "card" }, h("h2", {}, "Body"), h("p", { class: "faint" }, "It was empty."));
  return h("section", { class: "card" }, h("h2", {}, "Body ", h("span", { class: "faint" }, about)), h("pre", { class: "body", tabindex: "0", "aria-label": "Body" }, pretty));
}

/** @param {string} text */
function prettyPrinted(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** @param {Trigger} trigger */
function facts(trigger) {
  const rows = [
    ["Trigger", trigger.id],
    ["Place in the log", trigger.sequence],
    ["Kind", KINDS[trigger.driver]?.name],
    ["Group", trigger.group],
    ["Idempotency key", trigger.idempotencyKey],
    ["SHA-256 of the body", trigger.bodySha256],
    ["Query", trigger.query],
    ...Object.entries(trigger.headers ?? {}).map(([name, value]) => [`Header ${name}`, value]),
  ].filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("details", { class: "card" }, h("summary", {}, "Facts"), h("dl", {}, rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, h("code", {}, value))])));
}
