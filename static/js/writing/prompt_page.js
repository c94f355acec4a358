/**
 * The page where a prompt is written: what the form holds is a draft, as an answer's text is, over a
 * form that works without.
 */

import { Activity } from "../ranking/activity.js";
import { Draft } from "../ranking/draft.js";
import { Saved } from "../ranking/saved.js";
import { announce } from "../ranking/say.js";
import { onKeys } from "./typing.js";

const LEFT_OUT = new Set(["csrfmiddlewaretoken", "seconds", "seen", "based_on"]);
const words = document.getElementById("writing-words").dataset;

/** What a person entered, as a list of [name, value]. */
const read = (form) => [...new FormData(form)].filter(([name]) => !LEFT_OUT.has(name));

class PromptForm {
  constructor(root) {
    this.root = root;
    this.form = root.querySelector("#prompt-form");
    const saved = new Saved(root.querySelector("#saved"), words);
    this.draft = new Draft(root, this.form, () => this.said(), (...state) => saved.show(...state));
    const kept = this.draft.load(Number(root.dataset.sequence));
    const returned = "returned" in root.dataset; // what was sent is newer than what was kept
    if (kept && !returned) this.restore(kept.content);
    if (kept || "kept" in root.dataset) saved.show(this.draft, "kept", this.draft.sequence);
    const before = Object.fromEntries(kept?.content ?? []);
    this.activity = new Activity(Number(before.seconds ?? root.dataset.seconds) || 0, () => {});
    if (returned) this.keep();
    root.addEventListener("input", () => this.keep());
    root.querySelector("#more").addEventListener("click", (event) => {
      event.preventDefault();
      this.addExample().querySelector("textarea").focus();
      this.keep();
    });
    this.form.addEventListener("submit", () => this.submitted(), { capture: true });
    onKeys(root, this.form);
  }

  addExample() {
    const made = document.getElementById("one-more").content.cloneNode(true).firstElementChild;
    this.root.querySelector("#examples").append(made);
    return made;
  }

  keep() {
    this.draft.keep(this.said());
  }

  said() {
    return [...read(this.form), ["seconds", String(this.activity.seconds)]];
  }

  /** Fill the form with what this browser kept. */
  restore(entries) {
    const examples = entries.filter(([name]) => name === "example_query").length;
    while (this.form.querySelectorAll(".example").length < examples) this.addExample();
    const used = new Map();
    for (const [name, value] of entries) {
      const fields = [...this.form.elements].filter((field) => field.name === name);
      if (fields[0]?.type === "radio") {
        for (const field of fields) field.checked = field.value === value;
        continue;
      }
      const at = used.get(name) ?? 0;
      used.set(name, at + 1);
      if (fields[at] && fields[at].type !== "hidden") fields[at].value = value;
      if (value !== "") fields[at]?.closest("details")?.setAttribute("open", "");
    }
  }

  submitted() {
    this.form.elements.seconds.value = this.activity.seconds;
    this.form.elements.based_on.value = this.draft.basedOn;
    this.draft.rest();
  }

  close() {
    this.draft.close();
    this.activity.close();
  }
}

let shown = null;
let form = null;

function open() {
  form?.close();
  shown = document.getElementById("writing");
  form = shown.querySelector("#prompt-form") ? new PromptForm(shown) : null;
}

document.addEventListener("htmx:after:swap", () => {
  const root = document.getElementById("writing");
  if (!root || root === shown) return;
  if (root.dataset.outcome) form?.draft.forget();
  open();
  if (root.dataset.announce) announce(root.dataset.announce);
  const again = root.querySelector("[aria-invalid='true'], [name='all_the_same']");
  (again ?? root.querySelector("h1")).focus({ preventScroll: Boolean(root.dataset.outcome) });
  if (!again) scrollTo({ top: 0 });
});

addEventListener("pagehide", () => form?.draft.flush());
addEventListener("pageshow", (event) => {
  // Back from the history: what is shown may have been sent since.
  if (event.persisted) location.reload();
});

open();
