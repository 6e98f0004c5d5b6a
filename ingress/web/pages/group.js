// @ts-check
// One group: its scale over time, beside what it would have been; what waits, and which cooldown runs.

import { get } from "../api.js";
import { h, put } from "../dom.js";
import { link } from "../router.js";
import { count, durationText } from "../time.js";
import { codeText, configOf, deed, groupOf, groupText, statusOf } from "../words.js";
import { stepChart } from "../parts/chart.js";
import { MOST_LISTED, newestTriggers } from "../parts/newest.js";
import { failure } from "../parts/notes.js";
import { whatIf } from "../parts/what-if.js";

/**
 * @typedef {import("../words.js").Trigger} Trigger
 * @typedef {import("../words.js").Receiver} Receiver
 */

/** @param {import("../shell.js").View} view */
export function groupPage({ store, project, path }) {
  const group = path[1];
  const isScaling = /^(service|hosts)\//.test(group);
  const chart = stepChart(`The scale of ${groupText(group)} over time`);
  /** @type {import("../parts/chart.js").Other | null} */
  let other = null;
  /** When the oldest trigger was accepted that the chart shows; empty: there are no older ones. */
  let since = "";
  const wish = whatIf(
    () => since,
    (comparison) => {
      const steps = comparison?.whatIf.curve.map(({ at, scale }) => ({ at: Date.parse(at), value: scale }));
      other = steps?.length ? { steps, end: Date.now() } : null;
      show();
    },
  );
  const about = h("p", { class: "hint" });
  const now = h("div", { class: "tiles" });
  const list = h("div");
  const problem = h("div");
  const element = h(
    "div",
    {},
    h("div", { class: "title" }, h("h1", {}, title())),
    about,
    problem,
    now,
    h("section", { class: "card", hidden: !isScaling }, h("h2", {}, "Scale over time"), h("div", { class: "chart-and-form" }, h("div", {}, chart.element, wish.summary, h("p", { class: "help" }, "A line for the scale, a mark for each trigger. Click a mark for its story; + and − zoom, the arrow keys move.")), wish.element)),
    list,
  );

  function title() {
    const service = group.startsWith("service/") ? store.services.get(group.split("/").slice(2).join("/")) : null;
    return service ? `Service ${service.name}` : groupText(group).replace(/^./, (letter) => letter.toUpperCase());
  }

  async function load() {
    try {
      const page = await get("triggers", { group, limit: 1000 });
      since = page.pagination.next ? page.data.at(-1).acceptedAt : "";
      store.add(page.data);
      put(problem);
      show();
    } catch (error) {
      put(problem, failure(/** @type {Error} */ (error), load));
    }
  }

  function show() {
    const triggers = store.newestFirst().filter((trigger) => trigger.group === group).reverse();
    const receivers = receiversOf(triggers);
    const scaling = receivers.filter((receiver) => typeof configOf(receiver).max === "number");
    const bounds = scaling.map(configOf);
    put(element.querySelector("h1") ?? element, title());
    put(about, `${groupText(group, (id) => store.serviceName(id))}: its triggers are decided one after the other, whichever receiver they come from.`);
    const steps = scaleSteps(triggers);
    chart.show({
      steps,
      marks: marks(triggers, steps),
      other,
      min: bounds.length ? Math.min(...bounds.map((one) => one.min)) : null,
      max: bounds.length ? Math.max(...bounds.map((one) => one.max)) : null,
    });
    wish.offer(scaling);
    showNow(triggers, receivers, steps);
    showList(triggers, receivers);
  }

  /** @param {Trigger[]} triggers */
  function receiversOf(triggers) {
    const called = new Set(triggers.map((trigger) => trigger.receiverId));
    return (store.receivers ?? []).filter((receiver) => groupOf(receiver, project) === group || called.has(receiver.id));
  }

  /**
   * @param {Trigger[]} triggers
   * @param {import("../parts/chart.js").Step[]} steps
   * @returns {import("../parts/chart.js").Mark[]}
   */
  function marks(triggers, steps) {
    let scale = steps[0]?.value ?? 0;
    return triggers.map((trigger) => {
      const { outcome } = trigger;
      const at = Date.parse(outcome?.settledAt ?? trigger.acceptedAt);
      scale = outcome?.to ?? scale;
      const text = outcome ? `${codeText(outcome.code)}: ${outcome.message}` : "pending";
      return { at, value: scale, status: statusOf(trigger), text, href: link(project, ["triggers", trigger.id]) };
    });
  }

  /**
   * @param {Trigger[]} triggers
   * @param {Receiver[]} receivers
   * @param {import("../parts/chart.js").Step[]} steps
   */
  function showNow(triggers, receivers, steps) {
    const pending = triggers.filter((trigger) => !trigger.outcome);
    const tile = (/** @type {string} */ name, /** @type {any[]} */ ...value) => h("div", { class: "tile" }, h("span", { class: "faint" }, name), h("strong", {}, value));
    const scale = steps.at(-1)?.value;
    put(
      now,
      isScaling && tile("Scale", scale ?? "unknown"),
      tile("Waiting", pending.length === 0 ? "nothing" : count(pending.length, "trigger")),
      tile("Cooldown", cooldown(triggers, receivers)),
    );
  }

  /**
   * @param {Trigger[]} triggers
   * @param {Receiver[]} receivers
   */
  function cooldown(triggers, receivers) {
    const performed = triggers.filter((trigger) => trigger.outcome?.status === "succeeded");
    let left = 0;
    let whose = "";
    for (const receiver of receivers) {
      const own = performed.filter((trigger) => trigger.receiverId === receiver.id).at(-1);
      for (const [last, seconds] of [[own, receiver.cooldownSeconds], [performed.at(-1), receiver.groupCooldownSeconds]]) {
        const rest = last ? Date.parse(last.outcome.settledAt) + seconds * 1000 - Date.now() : 0;
        if (rest > left) [left, whose] = [rest, receiver.name];
      }
    }
    return left > 0 ? `${whose}: ${durationText(left)} left` : "none";
  }

  /**
   * @param {Trigger[]} triggers
   * @param {Receiver[]} receivers
   */
  function showList(triggers, receivers) {
    put(
      list,
      h("section", { class: "card" }, h("h2", {}, "Receivers"), receivers.length ? h("ul", {}, receivers.map((receiver) => h("li", {}, h("a", { href: link(project, ["receivers", receiver.id]) }, receiver.name), `: ${deed(receiver, (id) => store.serviceName(id))}`))) : h("p", { class: "faint" }, "None is left.")),
      newestTriggers(triggers.slice(-MOST_LISTED).reverse(), project, { group }, "None yet."),
    );
  }

  let timer = 0;
  const soon = () => {
    if (timer) return;
    timer = setTimeout(() => {
      timer = 0;
      show();
    }, 400);
  };
  const clock = setInterval(soon, 1000);
  store.addEventListener("triggers", soon);
  store.addEventListener("receivers", soon);
  store.addEventListener("reload", load);
  load();
  return {
    title: groupText(group),
    element,
    leave() {
      clearTimeout(timer);
      clearInterval(clock);
      chart.leave();
      store.removeEventListener("triggers", soon);
      store.removeEventListener("receivers", soon);
      store.removeEventListener("reload", load);
    },
  };
}

/**
 * The scale after each trigger that changed it.
 * @param {Trigger[]} triggers the oldest first
 */
function scaleSteps(triggers) {
  /** @type {import("../parts/chart.js").Step[]} */
  const steps = [];
  for (const { outcome } of triggers) {
    if (outcome?.status !== "succeeded" || typeof outcome.to !== "number") continue;
    const at = Date.parse(outcome.settledAt);
    if (steps.length === 0) steps.push({ at: at - 1000, value: outcome.from });
    steps.push({ at, value: outcome.to });
  }
  return steps;
}
