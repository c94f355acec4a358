/**
 * A conversation's page, beside what the ranking page's script does for the answers: the clock
 * while the model writes, Ctrl and Enter, and what is typed is a draft until it is said.
 */

import { Draft } from "./ranking/draft.js";
import { Saved } from "./ranking/saved.js";
import { fill } from "./ranking/say.js";

const words = document.getElementById("say-words").dataset;

/** What is said next: a form that works without. */
class Turn {
  constructor(form) {
    this.form = form;
    this.text = form.elements.text;
    const saved = new Saved(document.getElementById("saved"), words);
    this.draft = new Draft(form, form, () => this.said(), (...state) => saved.show(...state));
    const typed = this.text.value !== this.text.defaultValue; // before this script was there
    const kept = this.draft.load(Number(form.dataset.sequence));
    form.addEventListener("submit", () => this.submitted(), { capture: true });
    if (typed) {
      if (kept) this.draft.store(this.draft.asideKey, kept);
      this.keep();
    } else if (kept) this.text.value = Object.fromEntries(kept.content).text ?? "";
    if (kept || "kept" in form.dataset) saved.show(this.draft, "kept", this.draft.sequence);
  }

  said() {
    return [["text", this.text.value]];
  }

  keep() {
    this.draft.keep(this.said());
  }

  submitted() {
    this.form.elements.based_on.value = this.draft.basedOn;
    this.draft.rest();
  }
}

let began = 0;

function showClock() {
  const place = document.querySelector("[data-elapsed]");
  if (!place) return;
  const seconds = Number(place.dataset.elapsed) + Math.floor((performance.now() - began) / 1000);
  place.querySelector("[data-so-far]").textContent = fill(place.dataset.clock, { seconds });
  const bar = place.querySelector("progress");
  if (bar) bar.value = Math.min(seconds, bar.max);
}

let shown = null;
let turn = null;

/** Take up what the page shows now; an answer that changed nothing was none. */
function arrived(swapped) {
  const root = document.getElementById("assignment");
  if (root === shown) return;
  shown = root;
  began = performance.now();
  if (root.dataset.outcome) turn?.draft.forget();
  else turn?.draft.close();
  const form = document.getElementById("say");
  turn = form ? new Turn(form) : null;
  if (swapped && turn) {
    turn.text.focus();
    turn.text.scrollIntoView({ block: "nearest" });
  }
}

document.addEventListener("input", (event) => {
  if (turn && event.target === turn.text) turn.keep();
});

document.addEventListener("keydown", (event) => {
  if (!turn || event.target !== turn.text) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.repeat) {
    event.preventDefault();
    turn.form.requestSubmit();
  }
});

document.addEventListener("htmx:after:swap", () => arrived(true));
addEventListener("pagehide", () => turn?.draft.flush());
setInterval(showClock, 1000);
arrived(false);
