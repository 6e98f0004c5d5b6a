// @ts-check
// Cells of tables that become cards on narrow screens, where each names its column.

import { h } from "../dom.js";

/**
 * @param {string} label the column's name
 * @param {...any} content
 */
export function cell(label, ...content) {
  return h("td", { "data-label": label }, h("div", {}, content.flat()));
}
