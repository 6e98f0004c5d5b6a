// @ts-check
// Choosing labels: pairs of keys and values, suggested from what exists, with what they match now.

import { get } from "../api.js";
import { h, newId, put } from "../dom.js";
import { count } from "../time.js";

const PAUSE = 300;
const MOST_SHOWN = 12;

/**
 * @param {{name: string, legend: string, help: string, suggestions: string, matches: string, what: string, selector: Record<string, string>, isFixed: boolean, onMatch?: (count: number | null) => void}} options
 * `suggestions`, `matches`: kinds of targets.
 */
export function labelPicker({ name, legend, help, suggestions, matches, what, selector, isFixed, onMatch = () => {} }) {
  const keys = h("datalist", { id: newId() });
  const rows = h("div", { class: "pairs" });
  const preview = h("p", { class: "preview", role: "status" });
  /** @type {{key: string, value: string, count: number}[]} */
  let known = [];
  let timer = 0;
  let asked = 0;

  /**
   * @param {string} key
   * @param {string} value
   */
  function addRow(key = "", value = "") {
    const values = h("datalist", { id: newId() });
    const suggest = () => {
      const fitting = known.filter((label) => label.key === keyInput.value.trim());
      put(values, fitting.map((label) => h("option", { value: label.value }, count(label.count, what))));
      soon();
    };
    const keyInput = /** @type {HTMLInputElement} */ (h("input", { "aria-label": `${legend}: label`, placeholder: "label", list: keys.id, value: key, input: suggest, autocomplete: "off", disabled: isFixed }));
    const valueInput = h("input", { "aria-label": `${legend}: value`, placeholder: "value (blank: any)", list: values.id, value, input: soon, autocomplete: "off", disabled: isFixed });
    const row = h("div", { class: "pair" }, keyInput, h("span", { "aria-hidden": "true" }, "="), valueInput, values);
    if (!isFixed) row.append(h("button", { type: "button", class: "small", "aria-label": "Remove this label", click: () => (row.remove(), rows.children.length || addRow(), soon()) }, "×"));
    rows.append(row);
    return keyInput;
  }

  function read() {
    /** @type {Record<string, string>} */
    const pairs = {};
    for (const row of rows.children) {
      const [key, value] = [...row.querySelectorAll("input")].map((input) => input.value.trim());
      if (key) pairs[key] = value;
    }
    return pairs;
  }

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(match, PAUSE);
  }

  async function match() {
    const pairs = read();
    const number = ++asked;
    if (Object.keys(pairs).length === 0) {
      put(preview);
      return onMatch(null);
    }
    try {
      const found = (await get("targets", { kind: matches, selector: new URLSearchParams(pairs).toString() })).data;
      if (number !== asked) return;
      const names = found.slice(0, MOST_SHOWN).map((/** @type {any} */ one) => one.name);
      const rest = found.length > MOST_SHOWN ? ` and ${found.length - MOST_SHOWN} more` : "";
      put(preview, found.length === 0 ? `No ${what} matches now.` : `${count(found.length, what)} ${found.length === 1 ? "matches" : "match"} now: ${names.join(", ")}${rest}.`);
      onMatch(found.length);
    } catch (error) {
      if (number === asked) put(preview, `What matches cannot be told: ${/** @type {Error} */ (error).message}`);
    }
  }

  async function suggestKeys() {
    try {
      known = (await get("targets", { kind: suggestions })).data;
      const names = [...new Set(known.map((label) => label.key))];
      put(keys, names.map((key) => h("option", { value: key })));
    } catch {
      // Labels can be typed all the same.
    }
  }

  const pairs = Object.entries(selector ?? {});
  pairs.forEach(([key, value]) => addRow(key, value));
  if (pairs.length === 0) addRow();
  else match();
  if (!isFixed) suggestKeys();
  const add = !isFixed && h("button", { type: "button", class: "small", click: () => addRow().focus() }, "Another label");
  const element = h(
    "fieldset",
    { class: "field", "data-field": name },
    h("legend", {}, legend),
    rows,
    keys,
    add,
    h("p", { class: "help" }, isFixed ? "The target of a receiver stays; clone it for another one." : help),
    preview,
    h("p", { class: "error", role: "alert" }),
  );
  return { element, read, leave: () => clearTimeout(timer) };
}
