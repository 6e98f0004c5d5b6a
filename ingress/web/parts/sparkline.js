// @ts-check
// Triggers of the last hour, as small bars of two minutes each.

import { h, s } from "../dom.js";
import { count, number } from "../time.js";

const BARS = 30;

/** @param {number[]} minutes how many there were in each, the oldest first */
export function sparkline(minutes) {
  const total = minutes.reduce((sum, value) => sum + value, 0);
  const text = `${count(total, "trigger")} in the last hour`;
  if (total === 0) return h("span", { class: "faint", title: text }, "none");
  const values = Array.from({ length: BARS }, (_, bar) => minutes[2 * bar] + minutes[2 * bar + 1]);
  const most = Math.max(...values);
  // One path for all bars: a table of a thousand receivers has a thousand elements of these, not thirty thousand.
  const bars = values.map((value, index) => (value === 0 ? "" : `M${index * 3} 20v${-Math.max(2, (value / most) * 20)}h2V20z`)).join("");
  return h(
    "span",
    { class: "sparkline", title: text },
    s("svg", { viewBox: `0 0 ${BARS * 3} 20`, width: 90, height: 20, role: "img", "aria-label": text }, s("path", { class: "floor", d: `M0 19h${BARS * 3}v1H0z` }), s("path", { d: bars })),
    h("span", { class: "faint number" }, number(total)),
  );
}
