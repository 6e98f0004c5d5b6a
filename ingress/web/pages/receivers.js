// @ts-check
// The project's receivers, as a table.

import { get, mayWrite } from "../api.js";
import { h, put } from "../dom.js";
import { link } from "../router.js";
import { number, timeOf } from "../time.js";
import { KINDS, codeText, deed, statusOf } from "../words.js";
import { copyButton } from "../parts/copy.js";
import { receiverMenu } from "../parts/receiver-menu.js";
import { BARS, HOUR, sparkline } from "../parts/sparkline.js";
import { statusMark } from "../parts/status.js";
import { cell } from "../parts/table.js";

/**
 * @typedef {import("../words.js").Receiver} Receiver
 * @typedef {import("../words.js").Trigger} Trigger
 */

/** How many pages of the last hour are read. */
const PAGES = 3;
/** @type {Record<string, (receiver: Receiver) => string>} */
const ORDERS = {
  state: (receiver) => receiver.state,
  name: (receiver) => receiver.name.toLowerCase(),
  kind: (receiver) => KINDS[receiver.driver]?.name ?? receiver.driver,
};

/** @param {import("../shell.js").View} view */
export function receiversPage({ store, project }) {
  let order = "name";
  let isDescending = false;
  let wanted = "";
  let isAll = true;

  const body = h("tbody");
  const about = h("p", { class: "faint", role: "status" });
  const head = h("thead");
  const search = h("input", {
    type: "search",
    placeholder: "Filter by name, kind or target",
    "aria-label": "Filter receivers",
    input: (/** @type {Event} */ event) => {
      wanted = /** @type {HTMLInputElement} */ (event.target).value.toLowerCase();
      show();
    },
  });
  const table = h("div", { class: "table-box" }, h("table", { class: "cards receivers" }, head, body));
  const empty = h("div", { class: "empty card", hidden: true });
  const make = mayWrite() && h("a", { class: "button primary", href: link(project, ["receivers", "new"]) }, "Add receiver");
  const element = h(
    "div",
    {},
    h("div", { class: "title" }, h("h1", {}, "Receivers"), make),
    h("p", { class: "hint" }, "A receiver has a secret URL. A POST to it causes one safe action, whatever crashes in between."),
    h("div", { class: "bar" }, search, about),
    table,
    empty,
  );

  /** @type {Map<string, Trigger>} */
  const lastOf = new Map();
  /** @type {Map<string, number[]>} */
  const barsOf = new Map();
  /** @type {Set<number>} */
  const counted = new Set();

  /** @param {Trigger} trigger */
  function note(trigger) {
    const last = lastOf.get(trigger.receiverId);
    if (!last || last.sequence <= trigger.sequence) lastOf.set(trigger.receiverId, trigger);
    const bar = BARS - 1 - Math.floor(((Date.now() - Date.parse(trigger.acceptedAt)) / HOUR) * BARS);
    if (counted.has(trigger.sequence) || bar < 0) return;
    counted.add(trigger.sequence);
    const bars = barsOf.get(trigger.receiverId) ?? new Array(BARS).fill(0);
    bars[Math.min(bar, BARS - 1)] += 1;
    barsOf.set(trigger.receiverId, bars);
  }

  async function loadHour() {
    const since = new Date(Date.now() - HOUR).toISOString();
    let marker = "";
    for (let page = 0; page < PAGES; page += 1) {
      const answer = await get("triggers", { since, limit: 1000, marker });
      answer.data.forEach(note);
      marker = answer.pagination.next ? (new URL(answer.pagination.next, location.href).searchParams.get("marker") ?? "") : "";
      if (!marker) break;
    }
    isAll = marker === "";
    show();
  }

  function showHead() {
    const sortable = (/** @type {string} */ name, /** @type {string} */ text) => {
      const state = order === name ? (isDescending ? "descending" : "ascending") : "none";
      const click = () => {
        isDescending = order === name && !isDescending;
        order = name;
        showHead();
        show();
      };
      return h("th", { "aria-sort": state }, h("button", { type: "button", class: "sort", click }, text));
    };
    put(
      head,
      h(
        "tr",
        {},
        sortable("state", "State"),
        sortable("name", "Name"),
        sortable("kind", "Kind"),
        h("th", {}, "What it does"),
        mayWrite() && h("th", {}, "Trigger URL"),
        h("th", {}, "Last hour"),
        h("th", {}, "Last verdict"),
        h("th", {}, h("span", { class: "offscreen" }, "Actions")),
      ),
    );
  }

  function show() {
    if (!store.receivers) return;
    const words = (/** @type {Receiver} */ receiver) =>
      `${receiver.name} ${ORDERS.kind(receiver)} ${deed(receiver, (id) => store.serviceName(id))}`.toLowerCase();
    const chosen = store.receivers.filter((receiver) => words(receiver).includes(wanted));
    const key = ORDERS[order];
    chosen.sort((one, two) => key(one).localeCompare(key(two)) || one.name.localeCompare(two.name));
    if (isDescending) chosen.reverse();
    put(body, chosen.map(row));
    const all = store.receivers.length;
    put(about, all === 0 ? "" : chosen.length === all ? `${number(all)} in all` : `${number(chosen.length)} of ${number(all)}`);
    table.hidden = chosen.length === 0;
    empty.hidden = chosen.length > 0;
    put(empty, all === 0 ? nothingYet() : h("p", {}, `No receiver fits “${wanted}”.`));
  }

  function nothingYet() {
    return [
      h("h2", {}, "No receivers yet"),
      h("p", {}, "A receiver gives out a secret URL. Put it into Alertmanager, a registry or a CI job: each POST to it scales, upgrades or calls a service, exactly once. Here you see what happened, and why."),
      mayWrite() && h("a", { class: "button primary", href: link(project, ["receivers", "new"]) }, "Add the first one"),
    ];
  }

  /** @param {Receiver} receiver */
  function row(receiver) {
    const state = h("span", { class: `state ${receiver.state}` }, receiver.state === "active" ? "active" : "disabled");
    const until = receiver.disabledUntil && h("span", { class: "faint" }, " until ", timeOf(receiver.disabledUntil));
    return h(
      "tr",
      { "data-receiver": receiver.id },
      cell("State", state, until),
      cell("Name", h("a", { class: "name", href: link(project, ["receivers", receiver.id]) }, receiver.name)),
      cell("Kind", KINDS[receiver.driver]?.name ?? receiver.driver),
      cell("What it does", deed(receiver, (id) => store.serviceName(id))),
      mayWrite() && cell("Trigger URL", receiver.url ? urlCell(receiver) : h("span", { class: "faint" }, "hidden")),
      cell("Last hour", sparkline(barsOf.get(receiver.id) ?? new Array(BARS).fill(0), isAll)),
      cell("Last verdict", verdict(receiver)),
      h("td", { class: "actions" }, receiverMenu(receiver, store, project)),
    );
  }

  /** @param {Receiver} receiver */
  function urlCell(receiver) {
    const url = /** @type {string} */ (receiver.url);
    return h("span", { class: "url" }, h("code", { title: url }, `…key=${new URL(url).searchParams.get("key")?.slice(0, 6)}…`), copyButton(url, `the trigger URL of ${receiver.name}`));
  }

  /** @param {Receiver} receiver */
  function verdict(receiver) {
    const trigger = lastOf.get(receiver.id);
    if (!trigger) return h("span", { class: "faint" }, "none in the last hour");
    const status = statusOf(trigger);
    const code = trigger.outcome ? codeText(trigger.outcome.code) : "waits";
    return h("a", { href: link(project, ["triggers", trigger.id]), title: trigger.outcome?.message ?? "" }, statusMark(status, code));
  }

  let timer = 0;
  const soon = () => {
    if (timer) return;
    timer = setTimeout(() => {
      timer = 0;
      show();
    }, 250);
  };
  const see = (/** @type {Event} */ event) => {
    note(/** @type {CustomEvent} */ (event).detail);
    soon();
  };
  const reload = () => loadHour().catch(() => {});
  store.addEventListener("receivers", show);
  store.addEventListener("trigger", see);
  store.addEventListener("reload", reload);
  showHead();
  show();
  reload();
  return {
    title: "Receivers",
    element,
    leave() {
      clearTimeout(timer);
      store.removeEventListener("receivers", show);
      store.removeEventListener("trigger", see);
      store.removeEventListener("reload", reload);
    },
  };
}
