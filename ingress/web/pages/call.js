// @ts-check
// One receiver: its URL, how others call it, and what it does.

import { get, mayWrite } from "../api.js";
import { h, newId, put } from "../dom.js";
import { link } from "../router.js";
import { snippets } from "../snippets.js";
import { timeOf } from "../time.js";
import { KINDS, deed, groupOf } from "../words.js";
import { copyBox } from "../parts/copy.js";
import { receiverMenu, testFire } from "../parts/receiver-menu.js";
import { MOST_LISTED, newestTriggers } from "../parts/newest.js";
import { loading, failure } from "../parts/notes.js";

/** @typedef {import("../words.js").Receiver} Receiver */

/** How often the newest triggers are drawn at most, in milliseconds. */
const INTERVAL = 400;

/** @param {import("../shell.js").View} view */
export function callPage({ store, project, path, query }) {
  const element = h("div", {}, loading());
  const isNew = query.has("created");
  const id = path[1];
  const newest = h("div");

  async function load() {
    try {
      show(await get(`receivers/${id}`));
    } catch (error) {
      put(element, failure(/** @type {Error} */ (error), load));
    }
  }

  /** @param {Receiver} receiver */
  function show(receiver) {
    const group = groupOf(receiver, project);
    put(
      element,
      isNew && h("p", { class: "done", role: "status" }, "The receiver is made. Its URL is a secret: whoever knows it can fire it."),
      h("div", { class: "title" }, h("h1", {}, receiver.name), h("div", { class: "buttons" }, mayWrite() && h("button", { type: "button", class: "primary", click: () => testFire(receiver, project) }, "Test fire"), receiverMenu(receiver, store, project))),
      h("p", { class: "hint" }, `${KINDS[receiver.driver]?.name}: ${deed(receiver, (id) => store.serviceName(id))}. `, receiver.state === "active" ? "" : "It is disabled: its triggers are skipped. "),
      receiver.url ? h("section", { class: "card" }, h("h2", {}, "Trigger URL"), copyBox(receiver.url, "the trigger URL")) : h("p", { class: "card" }, "Your key may only read, so the trigger URL is not shown."),
      newest,
      receiver.url && callers(receiver),
      h(
        "p",
        { class: "links" },
        h("a", { href: link(project, ["activity"], { receiverId: receiver.id }) }, "History"),
        group && h("a", { href: link(project, ["groups", group]) }, "Chart"),
        mayWrite() && h("a", { href: link(project, ["receivers", receiver.id, "edit"]) }, "Edit"),
        h("span", { class: "faint" }, "made ", timeOf(receiver.created), `, revision ${receiver.revision}`),
      ),
    );
  }

  async function loadTriggers() {
    store.add((await get("triggers", { receiverId: id, limit: MOST_LISTED })).data);
    showTriggers();
  }

  function showTriggers() {
    const triggers = store.newestFirst().filter((trigger) => trigger.receiverId === id);
    put(newest, newestTriggers(triggers, project, { receiverId: id }, "None yet. Fire it, and see here what comes of it."));
  }

  let timer = 0;
  const soon = () => {
    timer ||= setTimeout(() => {
      timer = 0;
      showTriggers();
    }, INTERVAL);
  };
  const reload = () => loadTriggers().catch(() => {});
  store.addEventListener("receivers", load);
  store.addEventListener("triggers", soon);
  store.addEventListener("reload", reload);
  load();
  reload();
  return {
    title: "Receiver",
    element,
    leave() {
      clearTimeout(timer);
      store.removeEventListener("receivers", load);
      store.removeEventListener("triggers", soon);
      store.removeEventListener("reload", reload);
    },
  };
}

/** @param {Receiver} receiver */
function callers(receiver) {
  const all = snippets(receiver);
  const panel = h("div", { role: "tabpanel", id: newId() });
  const tabs = all.map(({ name }, index) =>
    h("button", { type: "button", role: "tab", "aria-controls": panel.id, click: () => choose(index), keydown: (/** @type {KeyboardEvent} */ event) => move(event, index) }, name),
  );
  /** @param {number} index */
  function choose(index) {
    tabs.forEach((tab, at) => {
      tab.setAttribute("aria-selected", String(at === index));
      tab.tabIndex = at === index ? 0 : -1;
    });
    const { where, text, name } = all[index];
    put(panel, h("p", { class: "help" }, where), copyBox(text, `what to put into ${name}`));
  }
  /**
   * @param {KeyboardEvent} event
   * @param {number} index
   */
  function move(event, index) {
    const step = { ArrowRight: 1, ArrowLeft: all.length - 1 }[event.key];
    if (!step) return;
    const next = (index + step) % all.length;
    choose(next);
    tabs[next].focus();
  }
  choose(0);
  return h("section", { class: "card" }, h("h2", {}, "How to call it"), h("div", { role: "tablist", class: "tabs", "aria-label": "Callers" }, tabs), panel);
}
