// @ts-check
// The fields of each kind of receiver.

import { context } from "../api.js";
import { h, put } from "../dom.js";
import { count } from "../time.js";
import { choices, field } from "../parts/field.js";
import { chosen, numberInput, radios, readNumber, select, textInput } from "./inputs.js";
import { labelPicker } from "./labels.js";

/** @typedef {import("../store.js").Store} Store */
/**
 * `problems`: what is wrong for certain, by field; `show`: draws what follows from other parts of the form.
 * @typedef {{element: HTMLElement, read: () => Record<string, any>, problems?: () => [string, string][], show?: () => void, leave?: () => void}} Part
 */

/** @type {Record<string, (store: Store, config: Record<string, any>, isEdit: boolean) => Part>} */
export const kindFields = { scaleService, scaleHost, serviceUpgrade, forwardPost };

/**
 * Direction, amount and bounds, with a preview in words.
 * @param {Record<string, any>} config
 * @param {string} what
 * @param {() => number | null} current how many there are now
 */
function scaling(config, what, current) {
  const preview = h("p", { class: "preview", role: "status" });
  const directions = radios("action", config.action ?? "up", [["up", "Up: more"], ["down", "Down: fewer"]], show);
  const [amount, min, max] = [["amount", 1], ["min", 1], ["max", 10]].map(([name, value]) =>
    numberInput(String(name), config[name] ?? value, { input: show }),
  );
  const element = h(
    "div",
    {},
    choices("Direction", "action", directions),
    h(
      "div",
      { class: "row" },
      field("By", amount, `${what}s per trigger`),
      field("At least", min, "a step down goes no lower"),
      field("At most", max, "a step up goes no higher"),
    ),
    preview,
  );

  function read() {
    return { action: chosen(element, "action"), amount: readNumber(amount), min: readNumber(min), max: readNumber(max) };
  }

  /** @returns {[string, string][]} */
  function problems() {
    const numbers = read();
    const names = { amount: "By", min: "At least", max: "At most" };
    /** @type {[string, string][]} */
    const wrong = Object.entries(names)
      .filter(([name]) => !Number.isInteger(numbers[name]) || numbers[name] < 1)
      .map(([name, label]) => [name, `“${label}” must be a whole number, 1 or more.`]);
    if (wrong.length === 0 && numbers.min >= numbers.max) wrong.push(["max", `“At most” must be more than “at least”, which is ${numbers.min}.`]);
    return wrong;
  }

  function show() {
    const wrong = problems();
    const now = current();
    if (wrong.length > 0) return put(preview, wrong[0][1]);
    if (now === null) return put(preview);
    const { action, amount: by, min: least, max: most } = read();
    const isUp = action === "up";
    const [to, bound] = isUp ? [now + by, most] : [now - by, least];
    const isWithin = isUp ? to <= bound : to >= bound;
    if (isWithin) return put(preview, `A trigger now: ${now} → ${count(to, what)}, ${isUp ? "at most" : "at least"} ${bound}.`);
    const step = isUp ? `${now} + ${by} is above the maximum of ${bound}` : `${now} − ${by} is below the minimum of ${bound}`;
    const onLimit = element.closest("form")?.querySelector('[name="onLimit"]');
    if (/** @type {HTMLSelectElement | null} */ (onLimit)?.value !== "clamp") return put(preview, `A trigger now would be rejected: ${step}.`);
    const isThere = isUp ? now >= bound : now <= bound;
    put(preview, isThere ? `A trigger now would be skipped: ${now} is at the bound of ${bound} or beyond.` : `A trigger now: ${now} → ${count(bound, what)}, as ${step}.`);
  }

  show();
  return { element, read, problems, show };
}

/** @type {(store: Store, config: Record<string, any>, isEdit: boolean) => Part} */
function scaleService(store, config, isEdit) {
  const target = serviceSelect(store, config.serviceId ?? "", isEdit, "serviceId", "id", () => steps.show());
  const steps = scaling(config, "container", () => store.services.get(target.value())?.scale ?? null);
  const element = h("div", {}, field("Service", target.element, isEdit ? "The target of a receiver stays; clone it for another one." : "What can be scaled, as the platform tells it."), steps.element);
  return {
    element,
    read: () => ({ serviceId: target.value() || null, ...steps.read() }),
    problems: () => [...target.problems(), ...steps.problems()],
    show: steps.show,
    leave: target.leave,
  };
}

/**
 * A choice of services, grouped by their stacks.
 * @param {Store} store
 * @param {string} value
 * @param {boolean} isFixed
 * @param {string} name
 * @param {"id" | "name"} by
 * @param {() => void} onChange
 */
function serviceSelect(store, value, isFixed, name, by, onChange) {
  const element = /** @type {HTMLSelectElement} */ (h("select", { name, disabled: isFixed, change: onChange }));
  const show = () => {
    const now = element.value || value;
    /** @type {Map<string, any[]>} */
    const stacks = new Map();
    for (const service of store.services.values()) {
      const stack = service.stack ?? "Services";
      stacks.set(stack, [...(stacks.get(stack) ?? []), service]);
    }
    const isKnown = [...store.services.values()].some((service) => service[by] === now);
    put(
      element,
      h("option", { value: "" }, store.services.size === 0 ? "no service can be listed now" : "choose a service"),
      now && !isKnown && h("option", { value: now }, now),
      [...stacks].map(([stack, services]) => h("optgroup", { label: stack }, services.map((service) => h("option", { value: service[by] }, by === "id" ? `${service.name} (${service.id}), scale ${service.scale}` : service.name)))),
    );
    element.value = now;
    onChange();
  };
  // The first show comes after the caller has what `onChange` needs.
  queueMicrotask(show);
  store.addEventListener("receivers", show);
  store.loadServices();
  const chosenValue = () => element.value || value;
  return {
    element,
    value: chosenValue,
    problems: () => /** @type {[string, string][]} */ (chosenValue() ? [] : [[name, "Choose a service."]]),
    leave: () => store.removeEventListener("receivers", show),
  };
}

/** @type {(store: Store, config: Record<string, any>, isEdit: boolean) => Part} */
function scaleHost(_store, config, isEdit) {
  /** @type {number | null} */
  let matching = null;
  const labels = labelPicker({
    name: "hostSelector",
    legend: "Hosts with these labels",
    help: "Up: the oldest of them is cloned, labels included. Down: some of them are removed.",
    suggestions: "hostLabel",
    matches: "hosts",
    what: "host",
    selector: config.hostSelector,
    isFixed: isEdit,
    onMatch: (count) => {
      matching = count;
      steps.show();
    },
  });
  const steps = scaling(config, "host", () => matching);
  const first = select("deleteOption", config.deleteOption ?? "leastRecent", [["leastRecent", "the oldest first"], ["mostRecent", "the youngest first"]]);
  const which = field("Which hosts go", first, "Hosts that do not work go before all others.");
  const showWhich = () => {
    which.hidden = chosen(steps.element, "action") !== "down";
  };
  steps.element.addEventListener("change", showWhich);
  showWhich();
  const element = h("div", {}, labels.element, steps.element, which);
  const read = () => {
    const scaling = steps.read();
    const config = { hostSelector: labels.read(), ...scaling };
    return scaling.action === "down" ? { ...config, deleteOption: first.value } : config;
  };
  return { element, read, problems: steps.problems, show: steps.show, leave: labels.leave };
}

/** @type {[string, string][]} */
const FORMATS = [
  ["dockerhub", "Docker Hub"],
  ["ghcr", "GitHub (ghcr.io)"],
  ["gitlab", "GitLab"],
  ["harbor", "Harbor"],
  ["quay", "Quay"],
  ["azure", "Azure"],
  ["alicloud", "Alibaba Cloud"],
  ["gitea", "Gitea"],
  ["distribution", "registry:2 (distribution)"],
  ["generic", "anything: {\"image\", \"tag\"}"],
];

/** @type {(store: Store, config: Record<string, any>, isEdit: boolean) => Part} */
function serviceUpgrade(_store, config, isEdit) {
  const labels = labelPicker({
    name: "serviceSelector",
    legend: "Services with these labels",
    help: "Every container that carries all of them gets the pushed image.",
    suggestions: "serviceLabel",
    matches: "services",
    what: "service",
    selector: config.serviceSelector,
    isFixed: isEdit,
  });
  const address = select("addressType", config.addressType ?? "registry", [["registry", "public"], ["registry-internal", "classic network"], ["registry-vpc", "private cloud"]]);
  const addressField = field("Address of the registry", address);
  const format = select("payloadFormat", config.payloadFormat ?? "dockerhub", FORMATS, showAddress);
  const tag = textInput("tag", config.tag, { placeholder: "latest" });
  const image = textInput("image", config.image, { placeholder: "example/web" });
  const batch = numberInput("batchSize", config.batchSize ?? 1);
  const interval = numberInput("intervalMillis", config.intervalMillis ?? 2000, { min: 100 });
  const settle = numberInput("settleSeconds", config.settleSeconds ?? 5, { min: 0 });
  const first = /** @type {HTMLInputElement} */ (h("input", { type: "checkbox", name: "startFirst", checked: config.startFirst === true }));
  function showAddress() {
    addressField.hidden = format.value !== "alicloud";
  }
  showAddress();
  const element = h(
    "div",
    {},
    labels.element,
    h(
      "div",
      { class: "row" },
      field("Registry", format, "Whose notifications come."),
      addressField,
      field("Image", image, "Only pushes of this repository act. Without it, whoever knows the URL can deploy any image."),
      field("Tag", tag, "Only pushes of this tag act."),
    ),
    h(
      "details",
      {},
      h("summary", {}, "How the upgrade goes"),
      h("div", { class: "row" }, field("Containers at a time", batch), field("Pause between (ms)", interval), field("Wait after a push (s)", settle, "One push is often told several times.")),
      h("div", { class: "field" }, h("label", { class: "radio" }, first, "Start new containers before old ones stop")),
    ),
  );
  const read = () => ({
    serviceSelector: labels.read(),
    tag: tag.value.trim() || null,
    image: image.value.trim() || null,
    payloadFormat: format.value,
    batchSize: readNumber(batch),
    intervalMillis: readNumber(interval),
    settleSeconds: readNumber(settle),
    startFirst: first.checked,
    ...(format.value === "alicloud" ? { addressType: address.value } : {}),
  });
  return { element, read, leave: labels.leave };
}

/** @type {(store: Store, config: Record<string, any>, isEdit: boolean) => Part} */
function forwardPost(store, config, isEdit) {
  const target = serviceSelect(store, config.serviceName ?? "", isEdit, "serviceName", "name", () => {});
  const port = numberInput("port", config.port ?? 80);
  port.disabled = isEdit;
  const path = textInput("path", config.path ?? "/", { placeholder: "/hooks/deploy" });
  const element = h(
    "div",
    {},
    h(
      "div",
      { class: "row" },
      field("Service", target.element),
      field("Port", port),
      field("Path", path, "Body, content type and the rest of the query are passed on."),
    ),
  );
  const read = () => ({ projectId: config.projectId ?? context.project, serviceName: target.value() || null, port: port.value || null, path: path.value.trim() });
  return { element, read, problems: target.problems, leave: target.leave };
}
