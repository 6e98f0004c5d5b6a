// @ts-check
// A status as a mark with its word: never colour alone.

import { h } from "../dom.js";
import { STATUS_HELP } from "../words.js";

/** @type {Record<string, string>} */
const SIGNS = { pending: "…", succeeded: "✓", rejected: "⊘", skipped: "–", failed: "✕" };

/**
 * @param {string} status
 * @param {string} [text]
 */
export function statusMark(status, text = status) {
  return h("span", { class: `status ${status}`, title: STATUS_HELP[status] ?? "" }, h("span", { class: "sign", "aria-hidden": "true" }, SIGNS[status] ?? "•"), text);
}
