// @ts-check
// Light, dark, or as the system has it.

import { h } from "../dom.js";

const KEY = "stormhook.theme";
const THEMES = ["auto", "light", "dark"];

function chosen() {
  const theme = localStorage.getItem(KEY) ?? "auto";
  return THEMES.includes(theme) ? theme : "auto";
}

export function applyTheme() {
  document.documentElement.dataset.theme = chosen();
}

export function themeChoice() {
  const select = h(
    "select",
    {
      "aria-label": "Colours",
      class: "quiet",
      change: (/** @type {Event} */ event) => {
        localStorage.setItem(KEY, /** @type {HTMLSelectElement} */ (event.target).value);
        applyTheme();
      },
    },
    THEMES.map((theme) => h("option", { value: theme, selected: theme === chosen() }, `${theme} theme`)),
  );
  return select;
}
