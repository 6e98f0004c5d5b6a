// @ts-check
// What stands where content is to come, or cannot come.

import { h } from "../dom.js";

export function loading() {
  return h("p", { class: "faint", role: "status" }, "Loading…");
}

/**
 * @param {Error} error
 * @param {() => void} again
 */
export function failure(error, again) {
  return h("div", { class: "card problem", role: "alert" }, h("p", {}, error.message), h("button", { type: "button", click: again }, "Try again"));
}
