// @ts-check
// A question in a dialog; the browser keeps the focus in it.

import { h, newId, put } from "../dom.js";

/**
 * Asks, does what was agreed to, and closes once that is done. What `act` throws is shown in the dialog.
 * @param {{title: string, body: any[], action: string, danger?: boolean, act: (form: HTMLFormElement) => Promise<any>}} question
 * @returns {HTMLDialogElement}
 */
export function ask({ title, body, action, danger = false, act }) {
  const id = newId();
  const problem = h("p", { class: "problem", role: "alert" });
  const button = h("button", { type: "submit", class: danger ? "danger" : "primary" }, action);
  const form = /** @type {HTMLFormElement} */ (
    h("form", {
      submit: async (/** @type {Event} */ event) => {
        event.preventDefault();
        button.setAttribute("disabled", "");
        put(problem);
        try {
          if ((await act(form)) !== false) dialog.close();
        } catch (error) {
          put(problem, /** @type {Error} */ (error).message);
        } finally {
          button.removeAttribute("disabled");
        }
      },
    })
  );
  const cancel = h("button", { type: "button", click: () => dialog.close() }, "Close");
  form.append(h("h2", { id }, title), ...body, problem, h("div", { class: "buttons" }, button, cancel));
  const dialog = /** @type {HTMLDialogElement} */ (h("dialog", { "aria-labelledby": id, close: () => dialog.remove() }, form));
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
