// @ts-check
// "What if it had been set otherwise?": changed bounds, amount or cooldown of a receiver, tried on the recorded triggers
// of its group. Nothing is changed by it.

import { change } from "../api.js";
import { h, put } from "../dom.js";
import { count, durationText, number } from "../time.js";
import { configOf } from "../words.js";
import { numberInput, readNumber, select } from "../form/inputs.js";
import { clearErrors, field, showError } from "./field.js";

/**
 * @typedef {import("../words.js").Receiver} Receiver
 * @typedef {{actions: number, lowest: number | null, highest: number | null, millisAtMaximum: number, curve: {at: string, scale: number}[]}} Side
 * @typedef {{triggers: number, different: number, withoutBody: number, recorded: Side, whatIf: Side}} Comparison
 */

/**
 * A form that compares. `since`: the triggers of which time are compared; empty for all.
 * @param {() => string} since
 * @param {(comparison: Comparison | null) => void} show what came of it; null once it is cleared
 */
export function whatIf(since, show) {
  /** @type {Receiver[]} */
  let receivers = [];
  /** The receiver that the fields were filled from, and its revision. */
  let filled = "";
  /** Counts the questions: only the answer to the last one is shown. */
  let asked = 0;
  const whose = select("receiver", "", [], clear);
  const whoseField = field("Receiver", whose);
  const [amount, min, max, cooldownSeconds] = ["amount", "min", "max", "cooldownSeconds"].map((name) => numberInput(name, null, { min: name === "cooldownSeconds" ? 0 : 1 }));
  const inputs = [amount, min, max, cooldownSeconds];
  const summary = h("p", { class: "preview", role: "status" });
  const problem = h("p", { class: "problem", role: "alert" });
  const button = h("button", { type: "submit", class: "primary" }, "Compare");
  const element = h(
    "form",
    { class: "what-if", hidden: true, novalidate: true, "aria-label": "What if", submit: (/** @type {Event} */ event) => (event.preventDefault(), compare()) },
    h("h3", {}, "What if?"),
    h("p", { class: "help" }, "Other settings, tried on the triggers that were recorded. Nothing is changed by it."),
    whoseField,
    h("div", { class: "what-if-fields" }, field("By", amount), field("At least", min), field("At most", max), field("Cooldown (s)", cooldownSeconds)),
    problem,
    h("div", { class: "buttons" }, button, h("button", { type: "button", click: clear }, "Clear")),
  );

  /** The receiver that is chosen. */
  const chosen = () => receivers.find((one) => one.id === whose.value) ?? receivers[0];

  /**
   * Takes the receivers that can be tried; what was typed in stays.
   * @param {Receiver[]} present
   */
  function offer(present) {
    const isSame = present.length === receivers.length && present.every(({ id, name }, at) => id === receivers[at].id && name === receivers[at].name);
    receivers = present;
    element.hidden = receivers.length === 0;
    if (!isSame) {
      const before = whose.value;
      put(whose, receivers.map(({ id, name }) => h("option", { value: id, selected: id === before }, name)));
      whoseField.hidden = receivers.length < 2;
    }
    const receiver = chosen();
    if (!receiver || filled === stamp(receiver)) return;
    const isTouched = inputs.some((input) => input.value !== input.defaultValue);
    const isOther = !filled.startsWith(`${receiver.id} `);
    if (isOther || !isTouched) fill(receiver);
  }

  /** @param {Receiver} receiver */
  const stamp = ({ id, revision }) => `${id} ${revision}`;

  /** @param {Receiver} receiver */
  function fill(receiver) {
    filled = stamp(receiver);
    const values = { ...configOf(receiver), cooldownSeconds: receiver.cooldownSeconds };
    for (const input of inputs) input.value = input.defaultValue = String(values[input.name] ?? "");
  }

  async function compare() {
    const receiver = chosen();
    const question = ++asked;
    clearErrors(element);
    put(problem);
    button.setAttribute("disabled", "");
    try {
      const [by, least, most, cooldown] = inputs.map(readNumber);
      const wish = { [`${receiver.driver}Config`]: { amount: by, min: least, max: most }, cooldownSeconds: cooldown };
      const comparison = await change("POST", `receivers/${receiver.id}/what-if`, wish, { limit: "0", since: since() });
      if (question !== asked) return;
      put(summary, comparisonText(comparison));
      show(comparison);
    } catch (error) {
      if (question !== asked) return;
      put(summary);
      show(null);
      const { message, field: wrong } = /** @type {import("../api.js").ApiError} */ (error);
      if (!wrong || !showError(element, wrong, message)) put(problem, message);
    } finally {
      button.removeAttribute("disabled");
    }
  }

  function clear() {
    asked += 1;
    clearErrors(element);
    put(problem);
    put(summary);
    if (chosen()) fill(chosen());
    show(null);
  }

  return { element, summary, offer };
}

/**
 * Both histories, in a sentence.
 * @param {Comparison} comparison
 */
function comparisonText({ triggers, different, withoutBody, recorded, whatIf }) {
  if (triggers === 0) return "No trigger is settled yet that this could be tried on.";
  const begin = different === 0 ? `All of the ${count(triggers, "trigger")} would have ended the same` : `${number(different)} of ${count(triggers, "trigger")} would have ended otherwise`;
  const parts = [
    instead("", recorded.actions, whatIf.actions, (value) => number(value), whatIf.actions === 1 ? " action" : " actions"),
    instead("scale ", recorded, whatIf, ({ lowest, highest }) => (lowest === null || highest === null ? "unknown" : lowest === highest ? number(lowest) : `${number(lowest)} to ${number(highest)}`)),
    instead("at the maximum for ", recorded.millisAtMaximum, whatIf.millisAtMaximum, (millis) => (millis === 0 ? "no time" : durationText(millis))),
  ];
  const bodies = withoutBody > 0 ? ` ${count(withoutBody, "body", "bodies")} are not in the trigger log any more; these triggers were tried without.` : "";
  return `${begin}: ${parts.join(", ")}.${bodies}`;
}

/**
 * "4 actions instead of 8", or "8 actions as before"
 * @template T
 * @param {string} before
 * @param {T} recorded
 * @param {T} whatIf
 * @param {(value: T) => string} text
 * @param {string} [after]
 */
function instead(before, recorded, whatIf, text, after = "") {
  const [was, is] = [text(recorded), text(whatIf)];
  return `${before}${is}${after} ${is === was ? "as before" : `instead of ${was}`}`;
}
