// @ts-check
// Adding, cloning and editing a receiver. The server has the last word on every rule; its errors land at their fields.

import { change, get } from "../api.js";
import { h, put } from "../dom.js";
import { go, link } from "../router.js";
import { KINDS, configOf } from "../words.js";
import { choices, clearError, clearErrors, field, showError } from "../parts/field.js";
import { failure, loading } from "../parts/notes.js";
import { advanced } from "../form/advanced.js";
import { kindFields } from "../form/kinds.js";

/** @typedef {import("../words.js").Receiver} Receiver */
/** @typedef {import("../form/kinds.js").Part} Part */

/** @param {import("../shell.js").View} view */
export function formPage(view) {
  const { path, query } = view;
  const editedId = path[1] === "new" ? null : path[1];
  const clonedId = query.get("clone");
  const element = h("div", {}, loading());
  /** @type {(() => void)[]} */
  const leaving = [];

  async function load() {
    try {
      const id = editedId ?? clonedId;
      show(id ? await get(`receivers/${id}`) : null);
    } catch (error) {
      put(element, failure(/** @type {Error} */ (error), load));
    }
  }

  /** @param {Receiver | null} from */
  function show(from) {
    const isEdit = editedId !== null;
    let driver = from?.driver ?? query.get("kind") ?? "scaleService";
    const name = h("input", { name: "name", required: true, maxlength: 255, placeholder: "scale-web", value: isEdit ? from?.name : clonedId ? `${from?.name}-copy` : "", autocomplete: "off" });
    const slot = h("div");
    /** @type {Part} */
    let kind;
    const options = advanced(from, () => driver);
    const showKind = () => {
      kind?.leave?.();
      const config = from && from.driver === driver ? configOf(from) : {};
      kind = kindFields[driver](view.store, config, isEdit);
      put(slot, kind.element);
      options.showFor(driver);
    };
    const kinds = Object.entries(KINDS).map(([value, { name: title, what }]) =>
      h(
        "label",
        { class: "choice" },
        h("input", { type: "radio", name: "driver", value, checked: value === driver, disabled: isEdit && value !== driver, change: () => ((driver = value), showKind()) }),
        h("span", {}, h("strong", {}, title), h("span", { class: "help" }, what)),
      ),
    );
    const problem = h("p", { class: "problem", role: "alert" });
    const button = h("button", { type: "submit", class: "primary" }, isEdit ? "Save" : "Make the receiver");
    const back = isEdit ? link(view.project, ["receivers", editedId ?? ""]) : link(view.project, ["receivers"]);
    const form = h(
      "form",
      {
        class: "form",
        novalidate: true,
        submit: (/** @type {Event} */ event) => (event.preventDefault(), save()),
        input: mended,
        change: (/** @type {Event} */ event) => (mended(event), kind.show?.()),
      },
      isEdit ? h("p", { class: "hint" }, `${KINDS[driver].name}. Kind and target stay; clone the receiver for another one.`) : choices("Kind", "driver", kinds),
      field("Name", name, "Yours to choose; unique in the project."),
      slot,
      options.element,
      problem,
      h("div", { class: "buttons" }, button, h("a", { class: "button", href: back }, "Cancel")),
    );

    /** @param {Event} event something was typed or chosen, so what was wrong with it is over */
    function mended({ target }) {
      const { name } = /** @type {HTMLInputElement} */ (target);
      clearError(/** @type {HTMLElement} */ (target));
      // The server compares the bounds with each other.
      if (name === "min" || name === "max") form.querySelectorAll("[name=min], [name=max]").forEach((bound) => clearError(/** @type {HTMLElement} */ (bound)));
      put(problem);
    }

    /** Shows what is wrong for certain, the first of it last, so that it has the focus. */
    function isWrong() {
      /** @type {[string, string][]} */
      const wrong = kind.problems?.() ?? [];
      if (!(/** @type {HTMLInputElement} */ (name).value.trim())) wrong.unshift(["name", "Enter a name."]);
      for (const [field, message] of wrong.reverse()) showError(form, field, message);
      return wrong.length > 0;
    }

    async function save() {
      clearErrors(form);
      put(problem);
      if (isWrong()) return;
      button.setAttribute("disabled", "");
      try {
        const body = { name: /** @type {HTMLInputElement} */ (name).value.trim(), driver, [`${driver}Config`]: kind.read(), ...options.read(isEdit) };
        const saved = isEdit ? await change("PUT", `receivers/${editedId}`, body) : await change("POST", "receivers", body);
        await view.store.loadReceivers();
        go(link(view.project, ["receivers", saved.id], isEdit ? {} : { created: "1" }));
      } catch (error) {
        const { message, field: wrong } = /** @type {import("../api.js").ApiError} */ (error);
        if (!wrong || !showError(form, wrong, message)) put(problem, message);
      } finally {
        button.removeAttribute("disabled");
      }
    }

    showKind();
    leaving.push(() => kind.leave?.());
    put(element, h("div", { class: "title" }, h("h1", {}, isEdit ? `Edit ${from?.name}` : clonedId ? `Clone ${from?.name}` : "Add receiver")), form);
  }

  load();
  return { title: editedId ? "Edit receiver" : "Add receiver", element, leave: () => leaving.forEach((leave) => leave()) };
}
