// @ts-check
// The newest triggers of something, in a few lines.

import { h } from "../dom.js";
import { link } from "../router.js";
import { timeOf } from "../time.js";
import { codeText, statusOf } from "../words.js";
import { statusMark } from "./status.js";
import { cell } from "./table.js";

/** @typedef {import("../words.js").Trigger} Trigger */

/** How many there are at most. */
export const MOST_LISTED = 10;

/**
 * @param {Trigger[]} triggers the newest first
 * @param {string} project
 * @param {Record<string, string>} filter what finds all of them
 * @param {string} none what is said when there are none
 */
export function newestTriggers(triggers, project, filter, none) {
  const rows = triggers.slice(0, MOST_LISTED).map((trigger) => {
    const href = link(project, ["triggers", trigger.id]);
    const mark = statusMark(statusOf(trigger), trigger.outcome ? codeText(trigger.outcome.code) : "pending");
    return h("tr", {}, cell("Accepted", h("a", { href }, timeOf(trigger.acceptedAt))), cell("Verdict", h("a", { href, tabindex: "-1" }, mark)), cell("What", trigger.outcome?.message ?? "waits for its turn"));
  });
  return h(
    "section",
    { class: "card" },
    h("h2", {}, "Newest triggers"),
    rows.length ? h("table", { class: "cards" }, h("tbody", {}, rows)) : h("p", { class: "faint" }, none),
    h("p", {}, h("a", { href: link(project, ["activity"], filter) }, "All of them")),
  );
}
