/**
 * The page where an answer is written: its draft, its length, its preview, over a form that works
 * without. After each answer the next prompt takes the place of the last.
 */

import { Activity } from "../ranking/activity.js";
import { Draft } from "../ranking/draft.js";
import { Saved } from "../ranking/saved.js";
import { announce, fill } from "../ranking/say.js";
import { measure } from "./measures.js";
import { Preview } from "./preview.js";
import { onKeys } from "./typing.js";

const words = document.getElementById("writing-words").dataset;
const scriptNames = JSON.parse(document.getElementById("script-names").textContent);

class Answer {
  constructor(root) {
    this.root = root;
    this.form = root.querySelector("#answer-form");
    this.area = this.form.elements.text;
    const saved = new Saved(root.querySelector("#saved"), words);
    this.draft = new Draft(root, this.form, () => this.said(), (...state) => saved.show(...state));
    const shown = Number(root.dataset.sequence);
    const kept = this.draft.load(shown);
    const before = Object.fromEntries(kept?.content ?? []);
    const returned = "returned" in root.dataset; // what was sent is newer than what was kept
    if (kept && !returned) this.area.value = before.text ?? "";
    if (kept || shown > 0) saved.show(this.draft, "kept", this.draft.sequence);
    this.activity = new Activity(Number(before.seconds ?? root.dataset.seconds) || 0, () => {});
    this.preview = new Preview(root, this.form, words.unreachable);
    this.area.addEventListener("input", () => this.changed());
    this.form.addEventListener("submit", () => this.submitted(), { capture: true });
    root.querySelector("[hx-post$='/pass/']")?.addEventListener("click", () => this.submitted(), { capture: true });
    onKeys(root, this.form);
    if (returned && this.area.value.trim()) this.keep();
    this.showMeasures();
  }

  changed() {
    this.keep();
    this.showMeasures();
    this.preview.changed();
  }

  keep() {
    this.draft.keep(this.said());
  }

  said() {
    return [
      ["text", this.area.value],
      ["seconds", String(this.activity.seconds)],
    ];
  }

  submitted() {
    this.form.elements.seconds.value = this.activity.seconds;
    this.draft.rest();
  }

  showMeasures() {
    const { askedScript, mostTokens } = this.root.dataset;
    const found = measure(this.area.value);
    const name = scriptNames[found.script];
    const sentence = fill(words.measures, { ...found, most: mostTokens });
    this.root.querySelector("#measures").textContent = name ? `${sentence} · ${name}` : sentence;
    this.warn("too-long", found.tokens > Number(mostTokens));
    const other = askedScript !== "" && found.script !== "" && found.script !== askedScript;
    const values = { asked: scriptNames[askedScript], answer: name };
    this.warn("other-script", other, fill(words.otherScript, values));
  }

  /** Show or hide a warning. sentence: with what is known now, where it says more than one thing. */
  warn(which, on, sentence = null) {
    const place = this.root.querySelector(`[data-warning="${which}"]`);
    if (on && sentence && place.textContent !== sentence) place.textContent = sentence;
    place.hidden = !on;
  }

  close() {
    this.draft.close();
    this.activity.close();
  }
}

let shown = null;
let answer = null;

function open() {
  answer?.close();
  shown = document.getElementById("writing");
  answer = shown.querySelector("#answer-form") ? new Answer(shown) : null;
}

document.addEventListener("htmx:after:swap", () => {
  const root = document.getElementById("writing");
  if (!root || root === shown) return;
  if (root.dataset.outcome) answer?.draft.forget();
  open();
  if (root.dataset.announce) announce(root.dataset.announce);
  const wrong = "returned" in root.dataset;
  (wrong ? root.querySelector("#answer") : root.querySelector("h1"))?.focus({ preventScroll: true });
  if (!wrong) scrollTo({ top: 0 });
});

addEventListener("pagehide", () => answer?.draft.flush());
addEventListener("pageshow", (event) => {
  // Back from the history: what is shown may have been sent since.
  if (event.persisted) location.reload();
});

open();
