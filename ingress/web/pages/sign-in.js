// @ts-check
// Signing in.

import { signIn } from "../api.js";
import { h, put } from "../dom.js";
import { field } from "../parts/field.js";

/**
 * @param {(session: import("../api.js").Session) => void} done
 * @param {string} message
 */
export function signInPage(done, message) {
  const access = h("input", { name: "accessKey", autocomplete: "username", required: true, autocapitalize: "off", spellcheck: "false" });
  const secret = h("input", { name: "secretKey", type: "password", autocomplete: "current-password", required: true });
  const problem = h("p", { class: "problem", role: "alert" }, message);
  const button = h("button", { class: "primary", type: "submit" }, "Sign in");
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    put(problem);
    button.setAttribute("disabled", "");
    try {
      const values = [access, secret].map((input) => /** @type {HTMLInputElement} */ (input).value);
      done(await signIn(values[0].trim(), values[1].trim()));
    } catch (error) {
      put(problem, /** @type {Error} */ (error).message);
      secret.focus();
    } finally {
      button.removeAttribute("disabled");
    }
  };
  return h(
    "main",
    { class: "sign-in" },
    h("img", { src: "/web/icon.svg", alt: "", width: 48, height: 48 }),
    h("h1", {}, "Stormhook"),
    h("p", { class: "hint" }, "Sign in with an access key and its secret key. ", h("code", {}, "stormhook up"), " prints both when it starts."),
    h("form", { submit, class: "card" }, field("Access key", access), field("Secret key", secret), problem, button),
  );
}
