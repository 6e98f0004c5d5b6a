// @ts-check
// Which page the address names: #/<project>/<page>/<id>?<query>. The project stands in it, so that addresses can be
// passed on.

/** @typedef {{project: string, path: string[], query: URLSearchParams}} Place */

/** @returns {Place} */
export function here() {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [project = "", ...rest] = path.split("/").map(decodeURIComponent);
  return { project, path: rest.filter((part) => part !== ""), query: new URLSearchParams(query) };
}

/**
 * The address of a page.
 * @param {string} project
 * @param {string[]} path
 * @param {Record<string, string>} [query]
 */
export function link(project, path, query = {}) {
  const parameters = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ""));
  const text = parameters.toString();
  return `#/${[project, ...path].map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

/** @param {string} target */
export function go(target) {
  if (location.hash === target) window.dispatchEvent(new HashChangeEvent("hashchange"));
  else location.hash = target;
}

/**
 * Changes the address without a new entry in the browser's history, and without loading the page anew.
 * @param {string} target
 */
export function rename(target) {
  history.replaceState(null, "", target);
}
