// @ts-check
// Begins: asks whether somebody is signed in, and shows the sign-in form or the pages.

import { context, showSession } from "./api.js";
import { put } from "./dom.js";
import { here, rename } from "./router.js";
import { Shell } from "./shell.js";
import { signInPage } from "./pages/sign-in.js";
import { applyTheme } from "./parts/theme.js";

const app = /** @type {HTMLElement} */ (document.getElementById("app"));
/** @type {Shell | null} */
let shell = null;

/** @param {import("./api.js").Session} session */
function enter(session) {
  context.session = session;
  const wanted = here().project;
  const known = session.projects.map((project) => project.id);
  if (!known.includes(wanted)) {
    const last = localStorage.getItem("stormhook.project") ?? "";
    rename(`#/${encodeURIComponent(known.includes(last) ? last : (known[0] ?? ""))}/receivers`);
  }
  shell?.leave();
  shell = new Shell(app, leave);
  shell.enter();
}

/** @param {string} [message] */
function leave(message = "") {
  context.session = null;
  shell?.leave();
  shell = null;
  document.title = "Sign in · Stormhook";
  put(app, signInPage(enter, message));
  /** @type {HTMLElement | null} */ (app.querySelector("input"))?.focus();
}

context.signedOut = () => leave("The session has ended. Sign in again.");
applyTheme();
showSession().then(enter, (error) => leave(error.status === 401 ? "" : error.message));
