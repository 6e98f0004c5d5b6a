// @ts-check
// Calls of the management API, in the session of whoever is signed in.

/**
 * @typedef {{id: string, name: string | null}} Project
 * @typedef {{accessKey: string, role: "admin" | "member" | "readonly", projects: Project[], csrfToken: string}} Session
 */

/** An error that the server told, or that there is no server. */
export class ApiError extends Error {
  /**
   * @param {number} status 0: no answer
   * @param {string} message
   * @param {string | null} field
   */
  constructor(status, message, field = null) {
    super(message);
    this.status = status;
    this.field = field;
  }
}

const ROOT = "/v1-webhooks";

/** @type {{session: Session | null, project: string, signedOut: () => void}} */
export const context = { session: null, project: "", signedOut: () => {} };

/** Whether whoever is signed in may change something. */
export function mayWrite() {
  return context.session?.role !== "readonly";
}

/**
 * The address of a call in the project.
 * @param {string} path
 * @param {Record<string, string | number | null | undefined>} [query]
 */
export function address(path, query = {}) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") parameters.set(name, String(value));
  }
  parameters.set("projectId", context.project);
  return `${ROOT}/${path}?${parameters}`;
}

/**
 * @param {string} path
 * @param {Record<string, string | number | null | undefined>} [query]
 */
export function get(path, query) {
  return call("GET", address(path, query));
}

/**
 * @param {"POST" | "PUT" | "DELETE"} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {Record<string, string>} [query]
 */
export function change(method, path, body, query) {
  return call(method, address(path, query), body);
}

/**
 * @param {string} method
 * @param {string} url
 * @param {unknown} [body]
 * @param {Record<string, string>} [headers]
 */
export async function call(method, url, body, headers = {}) {
  /** @type {Record<string, string>} */
  const sent = { accept: "application/json", ...headers };
  if (context.session && method !== "GET") sent["x-csrf-token"] = context.session.csrfToken;
  if (body !== undefined) sent["content-type"] ??= "application/json";
  let answer;
  try {
    answer = await fetch(url, {
      method,
      headers: sent,
      body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
      credentials: "same-origin",
    });
  } catch {
    throw new ApiError(0, "Stormhook does not answer. Is it running, and does the network work?");
  }
  const told = answer.status === 204 ? null : await answer.json().catch(() => null);
  if (answer.ok) return told;
  if (answer.status === 401 && context.session) context.signedOut();
  const message = told?.message ?? `the server answered ${answer.status}`;
  throw new ApiError(answer.status, message, told?.fieldName ?? null);
}

/** @returns {Promise<Session>} */
export function showSession() {
  return call("GET", `${ROOT}/session`);
}

/**
 * @param {string} accessKey
 * @param {string} secretKey
 * @returns {Promise<Session>}
 */
export function signIn(accessKey, secretKey) {
  return call("POST", `${ROOT}/session`, { accessKey, secretKey });
}

export function signOut() {
  return call("DELETE", `${ROOT}/session`);
}
