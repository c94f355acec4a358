/**
 * The page where a prompt is written: what the form holds is kept in this browser with each change,
 * until the server has taken it.
 */

import { Activity } from "../ranking/activity.js";
import { announce, clock, fill } from "../ranking/say.js";
import { onKeys } from "./typing.js";

const LEFT_OUT = new Set(["csrfmiddlewaretoken", "seconds", "seen"]);
const words = document.getElementById("writing-words").dataset;

/** What a person entered, as a list of [name, value]. */
const read = (form) => [...new FormData(form)].filter(([name]) => !LEFT_OUT.has(name));

const saysSomething = (entries) =>
  entries.some(([name, value]) => !["kind", "language"].includes(name) && value !== "");

class PromptForm {
  constructor(root) {
    this.root = root;
    this.form = root.querySelector("#prompt-form");
    this.key = root.dataset.keptKey;
    this.saved = root.querySelector("#saved");
    this.activity = new Activity(0, () => {});
    if ("returned" in root.dataset) this.keep();
    else this.restore();
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
    const entries = read(this.form);
    let state = navigator.onLine ? "local" : "offline";
    try {
      if (saysSomething(entries)) localStorage.setItem(this.key, JSON.stringify(entries));
      else localStorage.removeItem(this.key);
    } catch {
      state = "unkept";
    }
    this.saved.textContent = fill(words[state], { time: clock(Date.now()) });
    this.saved.dataset.state = state === "local" ? "saved" : "local";
  }

  /** Fill the form with what this browser kept. */
  restore() {
    let entries = null;
    try {
      entries = JSON.parse(localStorage.getItem(this.key));
    } catch {
      // Storage that is full, shut or broken is as good as empty.
    }
    if (!Array.isArray(entries)) return;
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
  }

  /** The server has it. */
  forget() {
    try {
      localStorage.removeItem(this.key);
    } catch {
      // Nothing was kept.
    }
  }

  close() {
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
  if (root.dataset.outcome) form?.forget();
  open();
  if (root.dataset.announce) announce(root.dataset.announce);
  const again = root.querySelector("[aria-invalid='true'], [name='all_the_same']");
  (again ?? root.querySelector("h1")).focus({ preventScroll: Boolean(root.dataset.outcome) });
  if (!again) scrollTo({ top: 0 });
});

addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

open();
