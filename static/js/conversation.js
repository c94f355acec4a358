/**
 * A conversation's page, beside what the ranking page's script does for the answers: the clock
 * while the model writes, Ctrl and Enter, and what is typed is kept in this browser until it is said.
 */

import { fill } from "./ranking/say.js";

const form = () => document.getElementById("say");
const page = () => document.getElementById("assignment");
const key = () => `rankloop:say:${page().dataset.kept}`;

/** What was typed last in this project and is not said yet; null where there is nothing. */
function kept() {
  try {
    return JSON.parse(localStorage.getItem(key()));
  } catch {
    return null; // storage that is full, shut or broken is as good as empty
  }
}

function keep({ text, number }) {
  const { conversation } = page().dataset;
  try {
    if (text.value) {
      const typed = { conversation, number: number.value, text: text.value };
      localStorage.setItem(key(), JSON.stringify(typed));
    } else localStorage.removeItem(key());
  } catch {
    // Nothing is kept; the form still holds it.
  }
}

/** Fill in what was typed, in the next conversation if this one was ended; forget what was said. */
function restore() {
  const typed = kept();
  if (!typed) return;
  const { conversation, turns } = page().dataset;
  if (typed.conversation === conversation && Number(typed.number) <= Number(turns)) {
    localStorage.removeItem(key());
  } else if (form() && !form().elements.text.value) form().elements.text.value = typed.text;
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

/** Take up what the page shows now; an answer that changed nothing was none. */
function arrived(swapped) {
  const root = document.getElementById("assignment");
  if (root === shown) return;
  shown = root;
  began = performance.now();
  restore();
  if (form()?.elements.text.value) keep(form().elements); // typed before this script was there
  if (swapped && form()) {
    const { text } = form().elements;
    text.focus();
    text.scrollIntoView({ block: "nearest" });
  }
}

document.addEventListener("input", (event) => {
  const place = form();
  if (place && event.target === place.elements.text) keep(place.elements);
});

document.addEventListener("keydown", (event) => {
  const place = form();
  if (!place || event.target !== place.elements.text) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.repeat) {
    event.preventDefault();
    place.requestSubmit();
  }
});

document.addEventListener("htmx:after:swap", () => arrived(true));
setInterval(showClock, 1000);
arrived(false);
