// @ts-check
// What happens, live: triggers with their verdicts, the newest first, storms folded into one row.

import { get } from "../api.js";
import { arrange, h, newId, put } from "../dom.js";
import { Folds } from "../folds.js";
import { link, rename } from "../router.js";
import { number, timeOf, timeText } from "../time.js";
import { CODES, STATUSES, codeText, groupOf, groupText, statusOf } from "../words.js";
import { field } from "../parts/field.js";
import { hourBars } from "../parts/hours.js";
import { failure } from "../parts/notes.js";
import { statusMark } from "../parts/status.js";
import { cell } from "../parts/table.js";

/** @typedef {import("../words.js").Trigger} Trigger */

const PAGE = 200;
/** How many rows are shown, and how many of a storm. */
const MOST_ROWS = 300;
const MOST_OF_STORM = 100;
/** How often the list is drawn at most, in milliseconds. */
const INTERVAL = 250;

/** @param {import("../shell.js").View} view */
export function activityPage({ store, project, query }) {
  const filters = { receiverId: query.get("receiverId") ?? "", status: query.get("status") ?? "", group: query.get("group") ?? "", code: query.get("code") ?? "", since: query.get("since") ?? "", until: query.get("until") ?? "" };
  /** @type {Map<number, Trigger>} what was loaded for these filters */
  let loaded = new Map();
  let marker = "";
  /** The oldest place in the log that is shown. */
  let reach = 0;
  const folds = new Folds((sequence) => store.triggers.get(sequence), (trigger) => trigger.sequence >= reach && fits(trigger));
  /** @type {Set<string>} */
  const opened = new Set();
  /** @type {Map<string, {of: any[], elements: HTMLElement[]}>} the rows that are shown, by their keys, and what they were made of */
  let drawn = new Map();
  /** @type {WeakMap<Trigger, HTMLElement>} */
  const singles = new WeakMap();

  const hours = h("div");
  const counts = h("div", { class: "counts", role: "status" });
  const body = h("tbody");
  const note = h("p", { class: "faint center" });
  const more = h("button", { type: "button", click: () => load(marker).catch(fail) }, "Older ones");
  const problem = h("div");
  const table = h("div", { class: "table-box" }, h("table", { class: "cards activity" }, h("thead", {}, h("tr", {}, ["Accepted", "Verdict", "Receiver", "What happened"].map((text) => h("th", {}, text)))), body));
  const receiver = /** @type {HTMLSelectElement} */ (h("select", { change: choose }));
  const status = h("select", { change: choose }, h("option", { value: "" }, "all"), STATUSES.map((one) => h("option", { value: one, selected: one === filters.status }, one)));
  const groups = h("datalist", { id: newId() });
  const group = /** @type {HTMLInputElement} */ (h("input", { placeholder: "service web", list: groups.id, change: choose }));
  const option = (/** @type {string} */ one) => h("option", { value: one, selected: one === filters.code }, codeText(one));
  const code = h("select", { change: choose }, h("option", { value: "" }, "all"), Object.entries(CODES).map(([of, codes]) => h("optgroup", { label: of }, codes.map(option))));
  const since = h("input", { type: "datetime-local", value: localTime(filters.since), change: choose });
  const until = h("input", { type: "datetime-local", value: localTime(filters.until), change: choose });
  const element = h(
    "div",
    {},
    h("div", { class: "title" }, h("h1", {}, "Activity")),
    h("div", { class: "filters" }, field("Receiver", receiver), field("Status", status), h("details", { open: filters.group || filters.code || filters.since || filters.until ? true : false }, h("summary", {}, "More filters"), h("div", { class: "row" }, field("Group", group), groups, field("Why", code), field("From", since), field("Before", until)))),
    hours,
    counts,
    problem,
    table,
    note,
    h("p", { class: "center" }, more),
  );

  function showReceivers() {
    const all = store.receivers ?? [];
    const isGone = filters.receiverId && !all.some((one) => one.id === filters.receiverId);
    put(receiver, h("option", { value: "" }, "all"), isGone && h("option", { value: filters.receiverId }, "a deleted one"), all.map((one) => h("option", { value: one.id }, one.name)));
    receiver.value = filters.receiverId;
    showGroups();
  }

  /** The groups that the project's receivers and the triggers that are shown belong to, by what they are called. */
  function knownGroups() {
    const known = [...(store.receivers ?? []).map((one) => groupOf(one, project)), ...[...loaded.values()].map((one) => one.group), filters.group];
    return new Map(known.filter((one) => one).map((one) => [nameOf(/** @type {string} */ (one)), /** @type {string} */ (one)]));
  }

  /** @param {string} one a group */
  function nameOf(one) {
    return groupText(one, (id) => store.serviceName(id));
  }

  function showGroups() {
    const names = [...knownGroups().keys()].sort();
    put(groups, names.map((name) => h("option", { value: name })));
    if (document.activeElement !== group) group.value = filters.group && nameOf(filters.group);
  }

  function choose() {
    const value = (/** @type {HTMLElement} */ input) => /** @type {HTMLInputElement} */ (input).value.trim();
    const utc = (/** @type {string} */ local) => (local ? new Date(local).toISOString() : "");
    Object.assign(filters, { receiverId: receiver.value, status: value(status), group: knownGroups().get(value(group)) ?? value(group), code: value(code), since: utc(value(since)), until: utc(value(until)) });
    rename(link(project, ["activity"], filters));
    loaded = new Map();
    folds.reset(store.triggers.keys());
    load("").catch(fail);
  }

  /** @param {string} from the marker of a page */
  async function load(from) {
    const page = await get("triggers", { ...filters, limit: PAGE, marker: from });
    put(problem);
    page.data.forEach((/** @type {Trigger} */ trigger) => loaded.set(trigger.sequence, trigger));
    marker = page.pagination.next ? (new URL(page.pagination.next, location.href).searchParams.get("marker") ?? "") : "";
    store.add(page.data);
    // Without older ones on the server, everything that is known is shown.
    reach = marker === "" ? 0 : Math.min(...loaded.keys());
    folds.reset(store.triggers.keys());
    show();
    showGroups();
  }

  async function loadHours() {
    const day = (await get("counts")).data;
    const isEmpty = day.every((/** @type {any} */ hour) => hour.succeeded + hour.rejected + hour.skipped + hour.failed === 0);
    put(hours, !isEmpty && hourBars(day, chooseHour));
  }

  /**
   * @param {string} from
   * @param {string} to
   */
  function chooseHour(from, to) {
    /** @type {HTMLInputElement} */ (since).value = localTime(from);
    /** @type {HTMLInputElement} */ (until).value = localTime(to);
    const more = since.closest("details");
    if (more) more.open = true;
    choose();
  }

  /** @param {Error} error */
  function fail(error) {
    put(problem, failure(error, () => load("").catch(fail)));
  }

  /** @param {Trigger} trigger */
  function fits(trigger) {
    return (
      (!filters.receiverId || trigger.receiverId === filters.receiverId) &&
      (!filters.group || trigger.group === filters.group) &&
      (!filters.status || statusOf(trigger) === filters.status) &&
      (!filters.code || trigger.outcome?.code === filters.code) &&
      (!filters.since || trigger.acceptedAt >= filters.since) &&
      (!filters.until || trigger.acceptedAt < filters.until)
    );
  }

  function show() {
    const { rows, statuses } = folds.read();
    put(counts, STATUSES.filter((one) => statuses[one] > 0).map((one) => h("span", { "data-count": one }, statusMark(one, `${number(statuses[one])} ${one}`))));
    drawn = new Map(rows.slice(0, MOST_ROWS).map((row) => [row.key, draw(row)]));
    arrange(body, [...drawn.values()].flatMap((row) => row.elements));
    table.hidden = rows.length === 0;
    more.hidden = marker === "";
    const isFiltered = Object.values(filters).some((value) => value !== "");
    put(note, rows.length === 0 ? (isFiltered ? "Nothing fits these filters." : "Nothing has happened yet. Fire a hook, and watch it arrive here.") : rows.length > MOST_ROWS ? `The newest ${MOST_ROWS} rows of ${number(rows.length)} are shown; filter for the others.` : "");
  }

  /**
   * The row as it is shown already, if that is made of the same.
   * @param {import("../folds.js").Fold} row
   */
  function draw(row) {
    const of = [row.newest, row.oldest, row.count, opened.has(row.key)];
    const known = drawn.get(row.key);
    if (known?.of.every((one, index) => one === of[index])) return known;
    return { of, elements: row.count === 1 ? [singleOf(row.newest)] : storm(row) };
  }

  /** @param {Trigger} trigger */
  function singleOf(trigger) {
    const made = singles.get(trigger) ?? single(trigger);
    singles.set(trigger, made);
    return made;
  }

  /** @param {Trigger} trigger */
  function single(trigger) {
    const status = statusOf(trigger);
    const text = trigger.outcome ? trigger.outcome.message : `waits for its turn: ${groupText(trigger.group)}`;
    return h(
      "tr",
      { "data-trigger": trigger.id },
      cell("Accepted", h("a", { href: link(project, ["triggers", trigger.id]) }, timeOf(trigger.acceptedAt))),
      cell("Verdict", h("a", { href: link(project, ["triggers", trigger.id]), tabindex: "-1" }, statusMark(status, trigger.outcome ? codeText(trigger.outcome.code) : "pending"))),
      cell("Receiver", store.receiver(trigger.receiverId) ? h("a", { href: link(project, ["receivers", trigger.receiverId]) }, trigger.receiverName) : (trigger.receiverName ?? "unknown"), trigger.replayOf && h("span", { class: "tag" }, "redelivered"), trigger.parentId && h("span", { class: "tag" }, "part")),
      cell("What", text),
    );
  }

  /** @param {import("../folds.js").Fold} row */
  function storm(row) {
    const { newest, oldest, count } = row;
    const isOpen = opened.has(row.key);
    const toggle = () => {
      if (!opened.delete(row.key)) opened.add(row.key);
      show();
      drawn.get(row.key)?.elements[0].querySelector("button")?.focus();
    };
    const status = statusOf(newest);
    const code = newest.outcome ? codeText(newest.outcome.code) : "pending";
    const from = oldest.outcome?.from;
    const to = newest.outcome?.to;
    const scale = typeof from === "number" && typeof to === "number" && from !== to ? `from ${number(from)} to ${number(to)}` : (newest.outcome?.message ?? "");
    const head = h(
      "tr",
      { class: "storm" },
      cell("Accepted", h("span", { title: `${oldest.acceptedAt} to ${newest.acceptedAt}` }, spanText(oldest.acceptedAt, newest.acceptedAt))),
      cell("Verdict", statusMark(status, `${number(count)} × ${code}`)),
      cell("Receiver", newest.receiverName ?? "unknown"),
      cell("What", scale, " ", h("button", { type: "button", class: "small", "aria-expanded": String(isOpen), click: toggle }, isOpen ? "Fold" : "Open")),
    );
    if (!isOpen) return [head];
    const rest = count - MOST_OF_STORM;
    return [head, ...firstOf(row.parts, MOST_OF_STORM).map(singleOf), ...(rest > 0 ? [h("tr", {}, h("td", { colspan: 4, class: "faint" }, `and ${number(rest)} more`))] : [])];
  }

  let timer = 0;
  let last = 0;
  const soon = () => {
    if (timer) return;
    timer = setTimeout(() => {
      timer = 0;
      last = performance.now();
      show();
    }, Math.max(0, last + INTERVAL - performance.now()));
  };
  const see = (/** @type {Event} */ event) => folds.touch(/** @type {import("../feed.js").FeedEvent} */ (event).detail.sequence);
  const forget = (/** @type {Event} */ event) => folds.touch(/** @type {CustomEvent} */ (event).detail);
  const reload = () => {
    loaded = new Map();
    folds.reset(store.triggers.keys());
    load("").catch(fail);
    loadHours().catch(() => {});
  };
  const clock = setInterval(() => loadHours().catch(() => {}), 60_000);
  store.addEventListener("trigger", see);
  store.addEventListener("forgotten", forget);
  store.addEventListener("triggers", soon);
  store.addEventListener("receivers", showReceivers);
  store.addEventListener("reload", reload);
  showReceivers();
  reload();
  return {
    title: "Activity",
    element,
    leave() {
      clearTimeout(timer);
      clearInterval(clock);
      store.removeEventListener("trigger", see);
      store.removeEventListener("forgotten", forget);
      store.removeEventListener("triggers", soon);
      store.removeEventListener("receivers", showReceivers);
      store.removeEventListener("reload", reload);
    },
  };
}

/**
 * The first `most` of what is in several lists.
 * @param {Trigger[][]} lists
 * @param {number} most
 */
function firstOf(lists, most) {
  /** @type {Trigger[]} */
  const first = [];
  for (const list of lists) {
    if (first.length >= most) break;
    first.push(...list.slice(0, most - first.length));
  }
  return first;
}

/**
 * @param {string} from
 * @param {string} to
 */
function spanText(from, to) {
  const [start, end] = [timeText(from), timeText(to)];
  return start === end ? start : `${start} – ${end}`;
}

/** @param {string} utc */
function localTime(utc) {
  if (!utc) return "";
  const time = new Date(utc);
  return new Date(time.getTime() - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
