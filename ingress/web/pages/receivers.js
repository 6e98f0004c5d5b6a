// @ts-check
// The project's receivers, as a table.

import { get, mayWrite } from "../api.js";
import { h, put } from "../dom.js";
import { link } from "../router.js";
import { number, timeOf } from "../time.js";
import { KINDS, codeText, deed } from "../words.js";
import { copyButton } from "../parts/copy.js";
import { receiverMenu } from "../parts/receiver-menu.js";
import { sparkline } from "../parts/sparkline.js";
import { statusMark } from "../parts/status.js";
import { cell } from "../parts/table.js";
import { Tally } from "../tally.js";

/**
 * @typedef {import("../words.js").Receiver} Receiver
 * @typedef {{key: string, element: HTMLElement, hour: HTMLElement, hourKey: string, verdict: HTMLElement, verdictKey: string}} Row
 */

/** How often changed rows are drawn at most, in milliseconds. */
const INTERVAL = 250;
/** How often the server counts anew. */
const COUNT_INTERVAL = 60_000;
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

  const tally = new Tally();
  /** @type {Map<string, Row>} the rows that are or were shown, by receiver */
  const rows = new Map();
  /** @type {Set<string>} receivers that something new is known of */
  const changed = new Set();

  async function count() {
    tally.take(await get("counts", { by: "receiver" }));
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
    put(body, chosen.map((receiver) => row(receiver).element));
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

  /**
   * The receiver's row: the one that there is, unless the receiver has changed.
   * @param {Receiver} receiver
   */
  function row(receiver) {
    const what = deed(receiver, (id) => store.serviceName(id));
    const key = JSON.stringify([receiver, what]);
    const known = rows.get(receiver.id);
    if (known?.key === key) return known;
    const state = h("span", { class: `state ${receiver.state}` }, receiver.state === "active" ? "active" : "disabled");
    const until = receiver.disabledUntil && h("span", { class: "faint" }, " until ", timeOf(receiver.disabledUntil));
    const [hour, verdict] = [h("div"), h("div")];
    const element = h(
      "tr",
      { "data-receiver": receiver.id },
      cell("State", state, until),
      cell("Name", h("a", { class: "name", href: link(project, ["receivers", receiver.id]) }, receiver.name)),
      cell("Kind", KINDS[receiver.driver]?.name ?? receiver.driver),
      cell("What it does", what),
      mayWrite() && cell("Trigger URL", receiver.url ? urlCell(receiver) : h("span", { class: "faint" }, "hidden")),
      cell("Last hour", hour),
      cell("Last verdict", verdict),
      h("td", { class: "actions" }, receiverMenu(receiver, store, project)),
    );
    const made = { key, element, hour, hourKey: "", verdict, verdictKey: "" };
    rows.set(receiver.id, made);
    freshen(made, receiver.id);
    return made;
  }

  /**
   * Draws what the row tells of triggers, where that has changed.
   * @param {Row} row
   * @param {string} id
   */
  function freshen(row, id) {
    const minutes = tally.minutes(id);
    const hourKey = minutes.join();
    if (row.hourKey !== hourKey) put(row.hour, sparkline(minutes));
    const newest = tally.newest(id);
    const verdictKey = `${newest?.sequence} ${newest?.outcome?.code}`;
    if (row.verdictKey !== verdictKey) put(row.verdict, verdict(newest));
    Object.assign(row, { hourKey, verdictKey });
  }

  /** @param {Receiver} receiver */
  function urlCell(receiver) {
    const url = /** @type {string} */ (receiver.url);
    return h("span", { class: "url" }, h("code", { title: url }, `…key=${new URL(url).searchParams.get("key")?.slice(0, 6)}…`), copyButton(url, `the trigger URL of ${receiver.name}`));
  }

  /** @param {import("../tally.js").Newest | null} newest */
  function verdict(newest) {
    if (!newest) return h("span", { class: "faint" }, "none in the last hour");
    const { id, outcome } = newest;
    return h("a", { href: link(project, ["triggers", id]), title: outcome?.message ?? "" }, statusMark(outcome?.status ?? "pending", outcome ? codeText(outcome.code) : "waits"));
  }

  let timer = 0;
  const soon = () => {
    if (timer) return;
    timer = setTimeout(() => {
      timer = 0;
      for (const id of changed) {
        const row = rows.get(id);
        if (row) freshen(row, id);
      }
      changed.clear();
    }, INTERVAL);
  };
  const see = (/** @type {Event} */ event) => {
    const { detail, id } = /** @type {import("../feed.js").FeedEvent} */ (event);
    tally.see(detail, id);
    changed.add(detail.receiverId);
    soon();
  };
  // Without an answer, time goes by all the same.
  const recount = () => count().catch(() => {}).finally(() => rows.forEach(freshen));
  const reload = () => {
    tally.clear();
    recount();
  };
  const clock = setInterval(recount, COUNT_INTERVAL);
  store.addEventListener("receivers", show);
  store.addEventListener("trigger", see);
  store.addEventListener("reload", reload);
  // What was settled before the feed began is counted only once it has begun.
  store.feed.addEventListener("begin", recount);
  showHead();
  show();
  recount();
  return {
    title: "Receivers",
    element,
    leave() {
      clearTimeout(timer);
      clearInterval(clock);
      store.removeEventListener("receivers", show);
      store.removeEventListener("trigger", see);
      store.removeEventListener("reload", reload);
      store.feed.removeEventListener("begin", recount);
    },
  };
}
