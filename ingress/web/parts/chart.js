// @ts-check
// A step chart of a scale over time, with bounds, marks, zoom and hover, and another curve to compare it with.

import { h, put, s } from "../dom.js";
import { timeText } from "../time.js";

/**
 * @typedef {{at: number, value: number}} Step
 * @typedef {{at: number, value: number, status: string, text: string, href: string}} Mark
 * @typedef {{steps: Step[], end: number}} Other another curve, as far as it is known
 * @typedef {{steps: Step[], marks: Mark[], other?: Other | null, min: number | null, max: number | null}} Data
 */

const HEIGHT = 280;
const LEFT = 44;
const RIGHT = 12;
const TOP = 14;
const BOTTOM = 30;
const LEAST_SPAN = 1000;
/** How many marks are drawn. */
const MOST_MARKS = 600;

/** @param {string} label */
export function stepChart(label) {
  const tip = h("div", { class: "tip", hidden: true });
  const drawing = s("svg", { class: "chart", role: "img", "aria-label": label, tabindex: "0" });
  const box = h("div", { class: "chart-box" }, drawing, tip);
  const legend = h("ul", { class: "legend", hidden: true }, legendLine("as it was", "line"), legendLine("what if", "line other"));
  /** @type {Data} */
  let data = { steps: [], marks: [], min: null, max: null };
  /** @type {[number, number]} */
  let whole = [0, 1];
  /** @type {[number, number] | null} */
  let zoomed = null;
  let width = 800;

  const span = () => zoomed ?? whole;
  const x = (/** @type {number} */ at) => LEFT + ((at - span()[0]) / (span()[1] - span()[0])) * (width - LEFT - RIGHT);
  const at = (/** @type {number} */ pixel) => span()[0] + ((pixel - LEFT) / (width - LEFT - RIGHT)) * (span()[1] - span()[0]);

  /** @param {Data} next */
  function show(next) {
    data = next;
    legend.hidden = !data.other;
    const starts = [data.steps, data.marks, data.other?.steps ?? []].flatMap((all) => all.slice(0, 1)).map((one) => one.at);
    const first = Math.min(...starts, Date.now() - 60_000);
    whole = [first - 2_000, Date.now() + 2_000];
    draw();
  }

  function draw() {
    width = Math.max(280, box.clientWidth || 800);
    drawing.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const values = [...data.steps, ...(data.other?.steps ?? [])].map((step) => step.value);
    const bounds = [data.min, data.max].filter((bound) => bound !== null);
    const top = Math.max(1, ...values, ...bounds.filter((bound) => /** @type {number} */ (bound) <= Math.max(1, ...values) * 3)) * 1.1;
    const y = (/** @type {number} */ value) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM);
    const marks = data.marks.filter((mark) => mark.at >= span()[0] && mark.at <= span()[1]);
    put(
      drawing,
      grid(top, y),
      bound("max", data.max, top, y),
      bound("min", data.min, top, y),
      s("path", { class: "line other", d: data.other ? line(data.other.steps, y, data.other.end) : "" }),
      s("path", { class: "line", d: line(data.steps, y, Date.now()) }),
      marks.slice(-MOST_MARKS).map((mark) => s("circle", { class: `mark ${mark.status}`, cx: x(mark.at), cy: y(mark.value), r: 4 })),
    );
  }

  /**
   * @param {number} top
   * @param {(value: number) => number} y
   */
  function grid(top, y) {
    const step = Math.max(1, 10 ** Math.floor(Math.log10(top)) / (top / 10 ** Math.floor(Math.log10(top)) < 3 ? 2 : 1));
    const lines = [];
    for (let value = 0; value <= top; value += Math.ceil(step)) {
      lines.push(s("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }), s("text", { class: "axis", x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, value));
    }
    const ticks = Math.max(2, Math.floor(width / 200));
    for (let tick = 0; tick <= ticks; tick += 1) {
      const when = span()[0] + ((span()[1] - span()[0]) * tick) / ticks;
      const anchor = tick === 0 ? "start" : tick === ticks ? "end" : "middle";
      lines.push(s("text", { class: "axis", x: x(when), y: HEIGHT - 8, "text-anchor": anchor }, timeText(when)));
    }
    return lines;
  }

  /**
   * @param {string} name
   * @param {number | null} value
   * @param {number} top
   * @param {(value: number) => number} y
   */
  function bound(name, value, top, y) {
    if (value === null || value > top) return [];
    return [s("line", { class: "bound", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }), s("text", { class: "axis", x: width - RIGHT, y: y(value) - 4, "text-anchor": "end" }, `${name} ${value}`)];
  }

  /**
   * @param {Step[]} steps
   * @param {(value: number) => number} y
   * @param {number} end
   */
  function line(steps, y, end) {
    const [from, to] = span();
    let path = "";
    let last = null;
    for (const step of steps) {
      if (step.at > to) break;
      const here = Math.max(LEFT, x(step.at));
      if (last === null) path = `M${here} ${y(step.value)}`;
      else path += step.at < from ? "" : `H${here}`;
      if (last === null || step.at >= from) path += `V${y(step.value)}`;
      else path = `M${LEFT} ${y(step.value)}`;
      last = step;
    }
    return last === null ? "" : `${path}H${Math.min(width - RIGHT, x(Math.min(end, to)))}`;
  }

  /** @param {number} factor
   * @param {number} [center] */
  function zoom(factor, center = (span()[0] + span()[1]) / 2) {
    const [from, to] = span();
    const size = Math.max(LEAST_SPAN, (to - from) * factor);
    if (size >= whole[1] - whole[0]) zoomed = null;
    else {
      const left = Math.min(Math.max(center - ((center - from) / (to - from)) * size, whole[0]), whole[1] - size);
      zoomed = [left, left + size];
    }
    draw();
  }

  /** @param {number} part */
  function pan(part) {
    const [from, to] = span();
    const by = Math.max(whole[0] - from, Math.min(whole[1] - to, (to - from) * part));
    if (zoomed) zoomed = [from + by, to + by];
    draw();
  }

  /** @param {MouseEvent} event */
  function hover(event) {
    const area = drawing.getBoundingClientRect();
    const when = at(event.clientX - area.left);
    const near = data.marks.filter((mark) => Math.abs(x(mark.at) - (event.clientX - area.left)) < 8).at(-1);
    const step = data.steps.filter((one) => one.at <= when).at(-1);
    const other = data.other && when <= data.other.end ? data.other.steps.filter((one) => one.at <= when).at(-1) : null;
    if (!near && !step) return;
    tip.hidden = false;
    put(tip, h("strong", {}, near ? timeText(near.at) : timeText(when)), h("br"), near ? near.text : `scale ${step?.value}`, ...(other ? [h("br"), `what if: scale ${other.value}`] : []));
    tip.style.left = `${Math.min(event.clientX - area.left + 12, area.width - tip.offsetWidth)}px`;
    tip.style.top = `${event.clientY - area.top + 14}px`;
  }

  drawing.addEventListener("mousemove", (event) => hover(/** @type {MouseEvent} */ (event)));
  drawing.addEventListener("mouseleave", () => (tip.hidden = true));
  drawing.addEventListener("click", (event) => {
    const area = drawing.getBoundingClientRect();
    const near = data.marks.filter((mark) => Math.abs(x(mark.at) - (/** @type {MouseEvent} */ (event).clientX - area.left)) < 8).at(-1);
    if (near) location.hash = near.href;
  });
  drawing.addEventListener(
    "wheel",
    (event) => {
      const wheel = /** @type {WheelEvent} */ (event);
      if (!wheel.ctrlKey && !wheel.shiftKey) return;
      event.preventDefault();
      zoom(wheel.deltaY > 0 ? 1.25 : 0.8, at(wheel.clientX - drawing.getBoundingClientRect().left));
    },
    { passive: false },
  );
  drawing.addEventListener("keydown", (event) => {
    const key = /** @type {KeyboardEvent} */ (event).key;
    /** @type {Record<string, () => void>} */
    const keys = { "+": () => zoom(0.5), "-": () => zoom(2), ArrowLeft: () => pan(-0.2), ArrowRight: () => pan(0.2), 0: () => zoom(Infinity) };
    keys[key]?.();
    if (key in keys) event.preventDefault();
  });
  const observer = new ResizeObserver(() => draw());
  observer.observe(box);
  const button = (/** @type {string} */ text, /** @type {string} */ name, /** @type {() => void} */ click) => h("button", { type: "button", class: "small", "aria-label": name, click }, text);
  const tools = h("div", { class: "buttons" }, button("+", "Zoom in", () => zoom(0.5)), button("−", "Zoom out", () => zoom(2)), button("←", "Earlier", () => pan(-0.3)), button("→", "Later", () => pan(0.3)), button("All", "Show all", () => zoom(Infinity)));
  return { element: h("div", {}, tools, box, legend), show, leave: () => observer.disconnect() };
}

/**
 * @param {string} text
 * @param {string} kind
 */
function legendLine(text, kind) {
  return h("li", {}, s("svg", { class: "chart-sample", viewBox: "0 0 32 4", "aria-hidden": "true" }, s("path", { class: kind, d: "M0 2H32" })), text);
}
