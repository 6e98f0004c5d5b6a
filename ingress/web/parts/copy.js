// @ts-check
// Copying a text, with a word that it was done.

import { h, put } from "../dom.js";

/**
 * @param {string} text
 * @param {string} [label] what is copied
 */
export function copyButton(text, label = "the URL") {
  const word = h("span", {}, "Copy");
  const button = h(
    "button",
    {
      type: "button",
      class: "small",
      "aria-label": `Copy ${label}`,
      click: async () => {
        put(word, (await copy(text)) ? "Copied" : "Press Ctrl+C");
        setTimeout(() => put(word, "Copy"), 2000);
      },
    },
    word,
  );
  return button;
}

/** @param {string} text */
async function copy(text) {
  try {
    // Only there on https and localhost.
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h("textarea", { value: text, class: "offscreen", "aria-hidden": "true", tabindex: "-1" });
    document.body.append(area);
    /** @type {HTMLTextAreaElement} */ (area).select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/**
 * A text to copy, in a box of its own.
 * @param {string} text
 * @param {string} label
 */
export function copyBox(text, label) {
  return h("div", { class: "copy-box" }, h("pre", { tabindex: "0", "aria-label": label }, text), copyButton(text, label));
}
