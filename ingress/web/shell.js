// @ts-check
// What surrounds every page: where to go, which project, whether all is well, who is signed in.

import { context, signOut } from "./api.js";
import { entitle, h, put } from "./dom.js";
import { go, here, link } from "./router.js";
import { Store } from "./store.js";
import { activityPage } from "./pages/activity.js";
import { callPage } from "./pages/call.js";
import { formPage } from "./pages/form.js";
import { groupPage } from "./pages/group.js";
import { receiversPage } from "./pages/receivers.js";
import { systemPage } from "./pages/system.js";
import { triggerPage } from "./pages/trigger.js";
import { themeChoice } from "./parts/theme.js";

/**
 * @typedef {{store: Store, project: string, path: string[], query: URLSearchParams}} View
 * @typedef {{title: string, element: HTMLElement, leave?: () => void}} Page
 */

/** @type {Record<string, (view: View) => Page>} */
const PAGES = {
  receivers: (view) => {
    const [, id, what] = view.path;
    if (!id) return receiversPage(view);
    return id === "new" || what === "edit" ? formPage(view) : callPage(view);
  },
  activity: activityPage,
  triggers: triggerPage,
  groups: groupPage,
  system: systemPage,
};

const NAVIGATION = [
  ["receivers", "Receivers"],
  ["activity", "Activity"],
  ["system", "System"],
];

export class Shell {
  #root;
  #onLeave;
  #store = new Store();
  /** @type {Page | null} */
  #page = null;
  #main = h("main", { id: "main", tabindex: "-1" });
  #navigation = h("nav", { "aria-label": "Pages" });
  #health = h("span", { class: "health", role: "status" });
  #banner = h("div", { class: "banner", role: "alert", hidden: true });
  #show = () => this.show();

  /**
   * @param {HTMLElement} root
   * @param {() => void} onLeave
   */
  constructor(root, onLeave) {
    this.#root = root;
    this.#onLeave = onLeave;
  }

  enter() {
    context.project = here().project;
    put(this.#root, this.#header(), this.#banner, this.#main);
    this.#store.addEventListener("state", () => this.#showHealth());
    this.#store.start();
    this.#showHealth();
    window.addEventListener("hashchange", this.#show);
    this.show();
  }

  leave() {
    window.removeEventListener("hashchange", this.#show);
    this.#page?.leave?.();
    this.#store.stop();
    document.querySelectorAll("dialog, .menu").forEach((open) => open.remove());
  }

  show() {
    const place = here();
    if (place.project !== context.project) return this.#switch(place.project);
    const name = place.path[0] ?? "receivers";
    this.#page?.leave?.();
    document.querySelectorAll("dialog, .menu").forEach((open) => open.remove());
    const make = PAGES[name] ?? receiversPage;
    this.#page = make({ store: this.#store, project: place.project, path: place.path, query: place.query });
    entitle(this.#page.title);
    put(this.#main, this.#page.element);
    this.#showNavigation(name, place.project);
    scrollTo(0, 0);
    this.#main.focus({ preventScroll: true });
  }

  /** @param {string} project */
  #switch(project) {
    context.project = project;
    localStorage.setItem("stormhook.project", project);
    this.#store.stop();
    this.#store = new Store();
    this.#store.addEventListener("state", () => this.#showHealth());
    this.#store.start();
    put(this.#root, this.#header(), this.#banner, this.#main);
    this.show();
  }

  #header() {
    const projects = context.session?.projects ?? [];
    const project = h(
      "select",
      { "aria-label": "Project", class: "quiet", change: (/** @type {Event} */ event) => go(link(/** @type {HTMLSelectElement} */ (event.target).value, ["receivers"])) },
      projects.map(({ id, name }) => h("option", { value: id, selected: id === context.project }, name && name !== id ? `${name} (${id})` : id)),
    );
    const out = h("button", { type: "button", class: "quiet", title: `signed in as ${context.session?.accessKey}`, click: () => this.#signOut() }, "Sign out");
    return h(
      "header",
      { class: "top" },
      h("a", { class: "skip", href: "#main", click: (/** @type {Event} */ event) => (event.preventDefault(), this.#main.focus()) }, "Skip to the page"),
      h("a", { class: "brand", href: link(context.project, ["receivers"]) }, h("img", { src: "/web/icon.svg", alt: "", width: 26, height: 26 }), h("span", {}, "Stormhook")),
      this.#navigation,
      h("div", { class: "tools" }, this.#health, project, themeChoice(), out),
    );
  }

  async #signOut() {
    await signOut().catch(() => {});
    this.#onLeave();
  }

  /**
   * @param {string} page
   * @param {string} project
   */
  #showNavigation(page, project) {
    const current = page === "triggers" || page === "groups" ? "activity" : page;
    put(
      this.#navigation,
      NAVIGATION.map(([name, text]) => h("a", { href: link(project, [name]), "aria-current": name === current ? "page" : null }, text)),
    );
  }

  #showHealth() {
    const { problem, feed } = this.#store;
    const isLive = feed.state === "live" && !problem;
    this.#health.className = `health ${isLive ? "live" : "lost"}`;
    put(this.#health, isLive ? "live" : feed.state === "connecting" ? "connecting" : "interrupted");
    this.#banner.hidden = problem === "";
    if (this.#banner.textContent !== problem) put(this.#banner, problem);
  }
}
