// @ts-check
// The inputs that the forms of the kinds are made of.

import { h } from "../dom.js";

/**
 * A whole number. An empty one is left out, so that the server says that it is missing.
 * @param {string} name
 * @param {number | null | undefined} value
 * @param {{min?: number, input?: () => void, unit?: string}} [options]
 */
export function numberInput(name, value, { min = 1, input = () => {} } = {}) {
  return /** @type {HTMLInputElement} */ (h("input", { name, type: "number", min, step: 1, inputmode: "numeric", value: value ?? "", input, class: "short" }));
}

/** @param {HTMLInputElement} input */
export function readNumber(input) {
  const text = input.value.trim();
  if (text === "") return input.validity.badInput ? "not a number" : null;
  return Number(text);
}

/**
 * @param {string} name
 * @param {string} value
 * @param {[string, string][]} options
 * @param {() => void} [onChange]
 */
export function select(name, value, options, onChange = () => {}) {
  return /** @type {HTMLSelectElement} */ (
    h("select", { name, change: onChange }, options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)))
  );
}

/**
 * @param {string} name
 * @param {string} value
 * @param {Record<string, any>} [more]
 */
export function textInput(name, value, more = {}) {
  return /** @type {HTMLInputElement} */ (h("input", { name, value: value ?? "", autocomplete: "off", spellcheck: "false", ...more }));
}

/**
 * A few choices, one of them taken.
 * @param {string} name
 * @param {string} value
 * @param {[string, string][]} options
 * @param {() => void} [onChange]
 */
export function radios(name, value, options, onChange = () => {}) {
  return options.map(([key, text]) =>
    h("label", { class: "radio" }, h("input", { type: "radio", name, value: key, checked: key === value, change: onChange }), text),
  );
}

/**
 * The choice that is taken.
 * @param {HTMLElement} parent
 * @param {string} name
 */
export function chosen(parent, name) {
  const input = /** @type {HTMLInputElement | null} */ (parent.querySelector(`input[name="${name}"]:checked`));
  return input?.value ?? "";
}
