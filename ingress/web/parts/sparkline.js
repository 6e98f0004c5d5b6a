// @ts-check
// Triggers of the last hour, as small bars.

import { h, s } from "../dom.js";
import { count } from "../time.js";

export const BARS = 30;
export const HOUR = 3_600_000;

/**
 * @param {number[]} values one for each two minutes, the oldest first
 * @param {boolean} isAll whether nothing is left out
 */
export function sparkline(values, isAll) {
  const total = values.reduce((sum, value) => sum + value, 0);
  const text = `${isAll ? "" : "at least "}${count(total, "trigger")} in the last hour`;
  if (total === 0) return h("span", { class: "faint", title: text }, "none");
  const most = Math.max(...values);
  const bars = values.map((value, index) => {
    const height = value === 0 ? 0 : Math.max(2, (value / most) * 20);
    return s("rect", { x: index * 3, y: 20 - height, width: 2, height });
  });
  return h(
    "span",
    { class: "sparkline", title: text },
    s("svg", { viewBox: `0 0 ${BARS * 3} 20`, width: 90, height: 20, role: "img", "aria-label": text }, s("rect", { class: "floor", x: 0, y: 19, width: BARS * 3, height: 1 }), ...bars),
    h("span", { class: "faint number" }, total > 999 ? "999+" : total),
  );
}
