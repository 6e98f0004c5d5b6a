// @ts-check
// A labelled field, with its help, and the error that belongs to it.

import { h, newId, put } from "../dom.js";

/**
 * @param {string} label
 * @param {HTMLElement} control an input, a select, a textarea
 * @param {string} [help]
 */
export function field(label, control, help = "") {
  const id = newId();
  control.id ||= id;
  const helpId = `${control.id}-help`;
  const errorId = `${control.id}-error`;
  control.setAttribute("aria-describedby", help ? `${helpId} ${errorId}` : errorId);
  return h(
    "div",
    { class: "field" },
    h("label", { for: control.id }, label),
    control,
    help && h("p", { class: "help", id: helpId }, help),
    h("p", { class: "error", id: errorId, role: "alert" }),
  );
}

/**
 * A group of choices with one legend.
 * @param {string} legend
 * @param {string} name
 * @param {HTMLElement[]} choices
 * @param {string} [help]
 */
export function choices(legend, name, choices, help = "") {
  const id = newId();
  return h(
    "fieldset",
    { class: "field", "data-field": name, "aria-describedby": `${id}-error` },
    h("legend", {}, legend),
    h("div", { class: "choices" }, choices),
    help && h("p", { class: "help" }, help),
    h("p", { class: "error", id: `${id}-error`, role: "alert" }),
  );
}

/** @param {HTMLElement} control what is within a field */
export function clearError(control) {
  const field = /** @type {HTMLElement | null} */ (control.closest(".field"));
  if (field) clearErrors(field);
}

/** @param {HTMLElement} form */
export function clearErrors(form) {
  form.querySelectorAll(".error").forEach((error) => put(error));
  form.querySelectorAll("[aria-invalid]").forEach((control) => control.removeAttribute("aria-invalid"));
  form.removeAttribute("aria-invalid");
}

/**
 * Shows `message`, which may begin with the field's name in the API, at the field called `name`. Returns whether there is such a
 * field.
 * @param {HTMLElement} form
 * @param {string} name
 * @param {string} message
 */
export function showError(form, name, message) {
  const control = /** @type {HTMLElement | null} */ (
    form.querySelector(`[name="${CSS.escape(name)}"]:not([type="radio"]), [data-field="${CSS.escape(name)}"]`)
  );
  const error = control?.closest(".field")?.querySelector(".error");
  if (!control || !error) return false;
  const label = /** @type {HTMLInputElement} */ (control).labels?.[0]?.textContent;
  put(error, label && message.startsWith(`${name} `) ? `${label}${message.slice(name.length)}` : message);
  control.setAttribute("aria-invalid", "true");
  const folded = control.closest("details");
  if (folded) folded.open = true;
  const focusable = control.matches("input, select, textarea") ? control : /** @type {HTMLElement | null} */ (control.querySelector("input, select"));
  focusable?.focus();
  return true;
}
