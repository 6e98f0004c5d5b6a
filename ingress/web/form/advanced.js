// @ts-check
// The options that every kind has, folded away.

import { h } from "../dom.js";
import { ApiError } from "../api.js";
import { field } from "../parts/field.js";
import { numberInput, readNumber, select, textInput } from "./inputs.js";

const SCALING = ["scaleService", "scaleHost"];
/** @type {Record<string, number>} */
const DEADLINES = { scaleService: 300, forwardPost: 300, scaleHost: 900, serviceUpgrade: 900 };

/**
 * @param {import("../words.js").Receiver | null} from
 * @param {() => string} driver the kind that is chosen
 */
export function advanced(from, driver) {
  const has = (/** @type {string} */ name, /** @type {any} */ value) => from?.[name] ?? value;
  const cooldown = numberInput("cooldownSeconds", has("cooldownSeconds", 0), { min: 0 });
  const groupCooldown = numberInput("groupCooldownSeconds", has("groupCooldownSeconds", 0), { min: 0 });
  const deadline = numberInput("deadlineSeconds", has("deadlineSeconds", null));
  const onLimit = select("onLimit", has("onLimit", "reject"), [["reject", "reject the trigger"], ["clamp", "go to the bound"]]);
  const onResolved = select("onResolved", has("onResolved", "skip"), [["skip", "skip them"], ["trigger", "act on them, too"], ["reverse", "do the opposite"]]);
  const onRepeat = select("onRepeat", has("onRepeat", "trigger"), [["trigger", "act on them, too"], ["ignore", "skip them"]]);
  const dedupe = select("dedupe", has("dedupe", "none"), [["none", "each is a trigger"], ["alert", "the same notification is one trigger"]]);
  const filter = h("textarea", { name: "filter", rows: 3, class: "code", spellcheck: "false", placeholder: '[{"pointer": "/commonLabels/severity", "in": ["page"]}]', value: from?.filter?.length ? JSON.stringify(from.filter, null, 2) : "" });
  const redact = h("textarea", { name: "redact", rows: 2, class: "code", spellcheck: "false", placeholder: "/commonAnnotations/token", value: (from?.redact ?? []).join("\n") });
  const hasSecret = from?.sign !== null && from?.sign !== undefined;
  const sign = textInput("sign", "", { type: "password", autocomplete: "new-password", placeholder: hasSecret ? "unchanged" : "" });
  const unsign = /** @type {HTMLInputElement} */ (h("input", { type: "checkbox", name: "unsign" }));
  const limits = field("At a bound", onLimit, "When the step would cross the least or the most.");
  const resolved = field("Alerts that are resolved", onResolved);
  const repeats = field("Alerts that are repeated", onRepeat);
  const element = h(
    "details",
    { class: "advanced" },
    h("summary", {}, "More options"),
    h(
      "div",
      { class: "row" },
      field("Cooldown (s)", cooldown, "Skip triggers this long after this receiver's last action."),
      field("Cooldown of the target (s)", groupCooldown, "The same, after anybody's action on the target."),
      field("Deadline (s)", deadline, "How long a trigger is tried."),
      limits,
      resolved,
      repeats,
      field("Redundant Alertmanagers", dedupe),
    ),
    field("Filter", filter, "Conditions on the JSON body; what does not match is skipped."),
    field("Masked before it is stored", redact, "JSON pointers, one a line."),
    field("Signing secret", sign, "Requests then need a valid X-Hub-Signature-256 or Standard Webhooks signature. 16 characters or more; it is not shown again."),
    hasSecret && h("div", { class: "field" }, h("label", { class: "radio" }, unsign, "Take no signatures any more")),
  );

  /** @param {boolean} isEdit */
  function read(isEdit) {
    /** @type {Record<string, any>} */
    const options = {
      cooldownSeconds: readNumber(cooldown),
      groupCooldownSeconds: readNumber(groupCooldown),
      deadlineSeconds: readNumber(deadline),
      dedupe: dedupe.value,
      filter: readFilter(/** @type {HTMLTextAreaElement} */ (filter).value),
      redact: /** @type {HTMLTextAreaElement} */ (redact).value.split("\n").map((line) => line.trim()).filter(Boolean),
    };
    if (SCALING.includes(driver())) Object.assign(options, { onLimit: onLimit.value, onResolved: onResolved.value, onRepeat: onRepeat.value });
    const secret = sign.value;
    if (secret) options.sign = { secret };
    else if (isEdit && unsign.checked) options.sign = null;
    return options;
  }

  /** @param {string} kind */
  function showFor(kind) {
    for (const part of [limits, resolved, repeats]) part.hidden = !SCALING.includes(kind);
    deadline.placeholder = String(DEADLINES[kind]);
  }

  return { element, read, showFor };
}

/** @param {string} text */
function readFilter(text) {
  if (text.trim() === "") return [];
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ApiError(400, `The filter is not JSON: ${/** @type {Error} */ (error).message}`, "filter");
  }
}
