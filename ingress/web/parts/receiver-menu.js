// @ts-check
// What can be done with a receiver, and the dialogs that ask how.

import { address, call, change, mayWrite } from "../api.js";
import { h, put } from "../dom.js";
import { go, link } from "../router.js";
import { codeText, groupOf, statusOf } from "../words.js";
import { copyBox } from "./copy.js";
import { ask } from "./dialog.js";
import { field } from "./field.js";
import { menuButton } from "./menu.js";
import { statusMark } from "./status.js";
import { sampleBody } from "../snippets.js";

/** @typedef {import("../words.js").Receiver} Receiver */

/**
 * @param {Receiver} receiver
 * @param {import("../store.js").Store} store
 * @param {string} project
 */
export function receiverMenu(receiver, store, project) {
  const reload = () => store.loadReceivers();
  const path = ["receivers", receiver.id];
  const group = groupOf(receiver, project);
  const reads = [
    { text: "History", act: () => go(link(project, ["activity"], { receiverId: receiver.id })) },
    ...(group ? [{ text: "Chart", act: () => go(link(project, ["groups", group])) }] : []),
    { text: "View in API", act: () => void window.open(address(`receivers/${receiver.id}`), "_blank", "noopener") },
  ];
  if (!mayWrite()) return menuButton(`Actions for ${receiver.name}`, reads);
  const isActive = receiver.state === "active";
  return menuButton(`Actions for ${receiver.name}`, [
    { text: "Test fire", act: () => testFire(receiver, project) },
    { text: "Edit", act: () => go(link(project, [...path, "edit"])) },
    { text: "Clone", act: () => go(link(project, ["receivers", "new"], { clone: receiver.id })) },
    isActive ? { text: "Disable", act: () => disable(receiver, reload) } : { text: "Enable", act: () => enable(receiver, reload) },
    { text: "Rotate URL", act: () => rotate(receiver, reload) },
    ...reads,
    { text: "Delete", danger: true, act: () => remove(receiver, reload) },
  ]);
}

/**
 * @param {HTMLFormElement} form
 * @param {string} name
 */
function value(form, name) {
  return String(new FormData(form).get(name) ?? "");
}

/**
 * @param {Receiver} receiver
 * @param {() => Promise<void>} done
 */
function enable(receiver, done) {
  ask({
    title: `Enable ${receiver.name}`,
    body: [h("p", {}, "Its triggers are acted upon again.")],
    action: "Enable",
    act: () => change("POST", `receivers/${receiver.id}`, {}, { action: "enable" }).then(done),
  });
}

/**
 * @param {Receiver} receiver
 * @param {() => Promise<void>} done
 */
function disable(receiver, done) {
  const times = { "": "until it is enabled by hand", 900: "15 minutes", 3600: "1 hour", 28800: "8 hours", 86400: "1 day", 604800: "1 week" };
  const options = Object.entries(times).sort(([one], [two]) => Number(one) - Number(two));
  const select = h("select", { name: "seconds" }, options.map(([seconds, text]) => h("option", { value: seconds }, text)));
  ask({
    title: `Disable ${receiver.name}`,
    body: [h("p", {}, "Its URL stays valid. Triggers are accepted and skipped, also those that wait now."), field("For how long", select)],
    action: "Disable",
    act: (form) => {
      const seconds = value(form, "seconds");
      return change("POST", `receivers/${receiver.id}`, seconds ? { seconds: Number(seconds) } : {}, { action: "disable" }).then(done);
    },
  });
}

/**
 * @param {Receiver} receiver
 * @param {() => Promise<void>} done
 */
function rotate(receiver, done) {
  const select = h(
    "select",
    { name: "overlap" },
    [["0", "not at all"], ["60", "1 minute"], ["3600", "1 hour"], ["86400", "1 day"], ["604800", "1 week"]].map(([seconds, text]) => h("option", { value: seconds }, text)),
  );
  const result = h("div");
  const dialog = ask({
    title: `Give ${receiver.name} a new URL`,
    body: [h("p", {}, "Do this when somebody may have seen the URL who should not know it."), field("How long the old URL stays valid", select), result],
    action: "Make a new URL",
    act: async (form) => {
      const changed = await change("POST", `receivers/${receiver.id}`, { overlapSeconds: Number(value(form, "overlap")) }, { action: "rotate" });
      await done();
      put(result, h("p", {}, "The new URL:"), copyBox(changed.url, "the new trigger URL"));
      dialog.querySelector("button[type=submit]")?.remove();
      return false;
    },
  });
}

/**
 * @param {Receiver} receiver
 * @param {() => Promise<void>} done
 */
function remove(receiver, done) {
  ask({
    title: `Delete ${receiver.name}?`,
    body: [h("p", {}, "Its URL stops working at once, and what waits for it is skipped. Its history stays. This cannot be undone.")],
    action: "Delete",
    danger: true,
    act: () => change("DELETE", `receivers/${receiver.id}`).then(done),
  });
}

/**
 * @param {Receiver} receiver
 * @param {string} project
 */
export function testFire(receiver, project) {
  const area = h("textarea", { name: "body", rows: 6, spellcheck: "false", class: "code", value: sampleBody(receiver) });
  const result = h("div", { role: "status" });
  ask({
    title: `Fire ${receiver.name}`,
    body: [h("p", {}, "This is a real trigger: the action is performed."), field("Body", area, "What the caller would send; it may be empty."), result],
    action: "Fire",
    act: async (form) => {
      put(result, h("p", { class: "faint" }, "Waiting for the verdict…"));
      const url = new URL(/** @type {string} */ (receiver.url));
      const sent = value(form, "body");
      const headers = { prefer: "wait=10", "content-type": sent.trim().startsWith("{") ? "application/json" : "text/plain" };
      try {
        const trigger = await call("POST", url.pathname + url.search, sent, headers);
        const told = trigger.outcome?.message ?? "It waits for its turn.";
        const code = trigger.outcome ? codeText(trigger.outcome.code) : "pending";
        put(result, h("p", {}, statusMark(statusOf(trigger), code), " ", told), h("p", {}, h("a", { href: link(project, ["triggers", trigger.id]) }, "See why")));
      } catch (error) {
        put(result);
        throw error;
      }
      return false;
    },
  });
}
