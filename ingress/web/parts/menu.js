// @ts-check
// A button that opens a menu: arrow keys, Home, End and Escape work in it, and a click elsewhere closes it.

import { h } from "../dom.js";

/**
 * @param {string} label
 * @param {{text: string, act: () => void, danger?: boolean}[]} items
 */
export function menuButton(label, items) {
  const button = h("button", { type: "button", class: "small menu-button", "aria-haspopup": "menu", "aria-expanded": "false", "aria-label": label, click: open }, "⋯");
  /** @type {HTMLElement | null} */
  let menu = null;

  function open() {
    if (menu) return close();
    menu = h(
      "div",
      { role: "menu", "aria-label": label, class: "menu", keydown: move },
      items.map((item) =>
        h("button", { type: "button", role: "menuitem", tabindex: "-1", class: item.danger ? "danger-text" : "", click: () => (close(), item.act()) }, item.text),
      ),
    );
    document.body.append(menu);
    const at = button.getBoundingClientRect();
    menu.style.top = `${Math.min(at.bottom + 4, Math.max(8, innerHeight - menu.offsetHeight - 8)) + scrollY}px`;
    menu.style.left = `${Math.max(8, at.right - menu.offsetWidth) + scrollX}px`;
    button.setAttribute("aria-expanded", "true");
    /** @type {HTMLElement} */ (menu.firstElementChild).focus();
    setTimeout(() => document.addEventListener("click", outside), 0);
  }

  function close() {
    menu?.remove();
    menu = null;
    button.setAttribute("aria-expanded", "false");
    document.removeEventListener("click", outside);
    button.focus();
  }

  /** @param {Event} event */
  function outside(event) {
    if (menu && !menu.contains(/** @type {Node} */ (event.target))) close();
  }

  /** @param {KeyboardEvent} event */
  function move(event) {
    const all = /** @type {HTMLElement[]} */ ([...(menu?.children ?? [])]);
    const at = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    /** @type {Record<string, number>} */
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1 + all.length, Home: 0, End: all.length - 1 };
    if (event.key in steps) all[steps[event.key] % all.length].focus();
    else if (event.key === "Escape" || event.key === "Tab") close();
    else return;
    event.preventDefault();
  }

  return button;
}
