// @ts-check
// Times in the viewer's zone, with UTC on hover; durations and numbers with their units.

import { h } from "./dom.js";

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const year = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const numbers = new Intl.NumberFormat("en");

/** @param {number} value */
export function number(value) {
  return numbers.format(value);
}

/**
 * "1 container", "2 containers"
 * @param {number} value
 * @param {string} one
 * @param {string} [many]
 */
export function count(value, one, many = `${one}s`) {
  return `${number(value)} ${value === 1 ? one : many}`;
}

/** @param {string | number | Date} at */
export function timeText(at) {
  const time = new Date(at);
  const now = new Date();
  if (time.toDateString() === now.toDateString()) return clock.format(time);
  const date = time.getFullYear() === now.getFullYear() ? day : year;
  return `${date.format(time)}, ${clock.format(time)}`;
}

/**
 * A time as an element.
 * @param {string} at RFC 3339
 */
export function timeOf(at) {
  return h("time", { datetime: at, title: `${at.replace("T", " ").replace("Z", "")} UTC` }, timeText(at));
}

/**
 * A time with its date, and how long ago it was.
 * @param {string} at RFC 3339
 */
export function dateOf(at) {
  const time = timeOf(at);
  time.textContent = `${year.format(new Date(at))}, ${clock.format(new Date(at))}`;
  return h("span", {}, time, ` (${durationText(Math.max(0, Date.now() - Date.parse(at)))} ago)`);
}

/** @param {number} millis */
export function durationText(millis) {
  if (millis < 1) return "less than 1 ms";
  if (millis < 1000) return `${Math.max(0, Math.round(millis))} ms`;
  const seconds = millis / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

/**
 * @param {string} from
 * @param {string} to
 */
export function between(from, to) {
  return durationText(Date.parse(to) - Date.parse(from));
}

/** @param {number} bytes */
export function bytesText(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  return bytes < 1024 * 1024 ? `${(bytes / 1024).toFixed(1)} kB` : `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}
