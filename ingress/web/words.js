// @ts-check
// What receivers and triggers do, in words. The same words everywhere on the page.

import { count } from "./time.js";

/**
 * @typedef {Record<string, any> & {id: string, name: string, driver: string, state: string, url: string | null}} Receiver
 * @typedef {Record<string, any> & {id: string, sequence: number, receiverId: string, group: string, state: string, acceptedAt: string}} Trigger
 */

/** @type {Record<string, {name: string, what: string}>} */
export const KINDS = {
  scaleService: { name: "Scale a service", what: "Starts or stops containers of one service, within bounds." },
  scaleHost: { name: "Scale hosts", what: "Adds hosts to a group, or removes some, within bounds." },
  serviceUpgrade: { name: "Upgrade services", what: "Upgrades services when a registry tells of a pushed image." },
  forwardPost: { name: "Forward requests", what: "Passes requests on to a service, in their order." },
};

export const STATUSES = ["pending", "succeeded", "rejected", "skipped", "failed"];

/** @type {Record<string, string>} */
export const STATUS_HELP = {
  pending: "accepted, and not settled yet",
  succeeded: "the action was done",
  rejected: "a rule of the receiver or the platform forbids it",
  skipped: "nothing had to be done",
  failed: "it was tried, and did not succeed",
};

/** Why triggers end as they do, by the statuses that this leads to. */
export const CODES = {
  succeeded: ["scaled", "hostsAdded", "hostsRemoved", "upgraded", "forwarded"],
  rejected: ["aboveMax", "belowMin", "serviceRemoved", "noHostsWithLabel", "noCloneableHost", "noSpareHost", "noRemovableHost", "unsupported", "targetRefused"],
  skipped: ["alertResolved", "alertRepeated", "atLimit", "coolingDown", "filtered", "receiverDisabled", "receiverDeleted", "noPush", "tagMismatch", "imageMismatch", "noMatchingServices", "superseded", "duplicate"],
  failed: ["deadlineExceeded", "platformRefused", "provisioningFailed", "upgradeFailed", "uncertain", "undecodable"],
};

/** @param {Receiver} receiver */
export function configOf(receiver) {
  return receiver[`${receiver.driver}Config`] ?? {};
}

/** @param {Record<string, string>} selector */
export function selectorText(selector) {
  return Object.entries(selector ?? {})
    .map(([key, value]) => (value ? `${key}=${value}` : key))
    .join(", ");
}

/**
 * What the receiver does, in one line.
 * @param {Receiver} receiver
 * @param {(id: string) => string} [serviceName]
 */
export function deed(receiver, serviceName = (id) => id) {
  const config = configOf(receiver);
  switch (receiver.driver) {
    case "scaleService": {
      const sign = config.action === "up" ? "+" : "−";
      return `${serviceName(config.serviceId)} ${sign}${config.amount}, from ${config.min} to ${config.max}`;
    }
    case "scaleHost": {
      const sign = config.action === "up" ? "+" : "−";
      const hosts = count(config.amount, "host");
      return `${sign}${hosts} with ${selectorText(config.hostSelector)}, from ${config.min} to ${config.max}`;
    }
    case "serviceUpgrade":
      return `services with ${selectorText(config.serviceSelector)} to ${config.image ?? "any image"}:${config.tag}`;
    case "forwardPost":
      return `to ${config.serviceName}:${config.port}${config.path}`;
    default:
      return receiver.driver;
  }
}

/** @param {Trigger} trigger */
export function statusOf(trigger) {
  return trigger.outcome?.status ?? "pending";
}

/** @param {string} code */
export function codeText(code) {
  return code.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

/**
 * The group that the receiver's triggers belong to.
 * @param {Receiver} receiver
 * @param {string} project
 */
export function groupOf(receiver, project) {
  const config = configOf(receiver);
  switch (receiver.driver) {
    case "scaleService":
      return `service/${project}/${config.serviceId}`;
    case "forwardPost":
      return `forward/${project}/${config.serviceName}:${config.port}`;
    default:
      return null;
  }
}

/**
 * @param {string} group
 * @param {(id: string) => string} [serviceName]
 */
export function groupText(group, serviceName = (id) => id) {
  const [kind, , ...rest] = group.split("/");
  const target = rest.join("/");
  switch (kind) {
    case "service":
      return `service ${serviceName(target)}`;
    case "hosts":
      return `hosts with ${target}`;
    case "upgrade":
      return `services with ${target}`;
    case "forward":
      return `requests to ${target}`;
    default:
      return group;
  }
}

/**
 * What a plan does, in words.
 * @param {Record<string, any>} action
 */
export function actionText(action) {
  switch (action.type) {
    case "scaleService":
      return `scale ${action.name} from ${action.from} to ${action.to}`;
    case "scaleHosts": {
      const names = [...action.create.map((/** @type {any} */ host) => `add ${host.name}`), ...action.remove.map((/** @type {any} */ host) => `remove ${host.name}`)];
      return `bring the group from ${action.from} to ${count(action.to, "host")}: ${names.join(", ")}`;
    }
    case "upgradeServices":
      return `upgrade ${count(action.services.length, "service")}: ${action.services.map((/** @type {any} */ one) => one.name).join(", ")}`;
    case "upgradeService":
      return `upgrade ${action.name}, ${count(action.batchSize, "container")} at a time`;
    case "forward":
      return `pass the request on to ${action.serviceName}:${action.port}${action.path}`;
    default:
      return action.type;
  }
}
