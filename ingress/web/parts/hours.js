// @ts-check
// What came of the triggers of the last 24 hours, a bar an hour.

import { h, s } from "../dom.js";
import { number, timeText } from "../time.js";

/** @typedef {{hour: string, succeeded: number, rejected: number, skipped: number, failed: number}} Hour */

const HEIGHT = 48;
/** @type {("failed" | "rejected" | "skipped" | "succeeded")[]} */
const ORDER = ["succeeded", "skipped", "rejected", "failed"];

/**
 * @param {Hour[]} hours the oldest first
 * @param {(from: string, to: string) => void} choose what a click on an hour does
 */
export function hourBars(hours, choose) {
  const totals = hours.map((hour) => ORDER.reduce((sum, status) => sum + hour[status], 0));
  const most = Math.max(1, ...totals);
  const bars = hours.map((hour, index) => {
    let y = HEIGHT;
    const text = `${timeText(hour.hour)}: ${totals[index] === 0 ? "none" : ORDER.filter((status) => hour[status] > 0).map((status) => `${number(hour[status])} ${status}`).join(", ")}`;
    const parts = ORDER.filter((status) => hour[status] > 0).map((status) => {
      const height = Math.max(1.5, (hour[status] / most) * HEIGHT);
      y -= height;
      return s("rect", { class: status, x: 0, y: Math.max(0, y), width: 10, height });
    });
    const end = new Date(Date.parse(hour.hour) + 3_600_000).toISOString();
    return h(
      "button",
      { type: "button", class: "hour", title: text, "aria-label": text, disabled: totals[index] === 0, click: () => choose(hour.hour, end) },
      s("svg", { viewBox: `0 0 10 ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, s("rect", { class: "floor", x: 0, y: HEIGHT - 1, width: 10, height: 1 }), ...parts),
    );
  });
  const sum = totals.reduce((all, total) => all + total, 0);
  return h("figure", { class: "hours" }, h("figcaption", { class: "faint" }, `Settled in the last 24 hours: ${number(sum)}`), h("div", { class: "hour-bars" }, bars));
}
