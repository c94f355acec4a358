/**
 * The ranking page: keys, the list of places, drafts and the lease, over a form that works without.
 * One Desk serves one slate; after each submission htmx brings the next and a new Desk opens.
 */

import { Activity } from "./activity.js";
import { csrfToken } from "./csrf.js";
import { Draft } from "./draft.js";
import * as orders from "./order.js";
import { Panel } from "./panel.js";

const words = document.getElementById("ranking-words").dataset;
const KEYS_OFF = "rankloop:keys-off";

const fill = (sentence, values) =>
  sentence.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);

const announce = (sentence) =>
  document.dispatchEvent(new CustomEvent("rankloop:announce", { detail: sentence }));

const clock = (moment) =>
  new Intl.DateTimeFormat(document.documentElement.lang, { timeStyle: "short" }).format(moment);

class Desk {
  constructor(root) {
    this.root = root;
    this.form = root.querySelector("#ranking-form");
    this.submitButton = root.querySelector("#submit-ranking");
    this.known = []; // in the order shown: an object's keys would be sorted by number
    this.letters = {};
    this.ids = {};
    for (const card of root.querySelectorAll("[data-completion]")) {
      this.known.push(card.dataset.completion);
      this.letters[card.dataset.completion] = card.dataset.letter;
      this.ids[card.dataset.letter.toLowerCase()] = card.dataset.completion;
    }
    this.past = [];
    this.tieNext = false;
    this.sent = false;
    this.saved = root.querySelector("#saved");
    this.draft = new Draft(root, this.form, (state, moment) => this.showSaved(state, moment));
    const kept = this.draft.load(JSON.parse(root.querySelector("#draft").textContent));
    this.order = orders.fromRanks(kept?.content?.ranks ?? this.chosenRanks(), this.known);
    if (kept && this.order.length > 0) this.showSaved("kept", kept.sequence);
    this.activity = new Activity(Number(kept?.content?.seconds) || 0, () => this.renew());
    this.panel = new Panel(root.querySelector("#rank-list"), this.letters, words, {
      move: (id, target) => this.move(id, target),
      tap: (id) => this.toggle(id),
    });
    root.addEventListener("click", (event) => this.clicked(event));
    this.form.addEventListener("submit", (event) => this.submitted(event), { capture: true });
    this.show();
  }

  /** What the selects say: a form that came back with an error, or a page restored by the browser. */
  chosenRanks() {
    return Object.fromEntries(this.known.map((id) => [id, this.select(id).value]));
  }

  select(id) {
    return this.form.elements[`rank-${id}`];
  }

  get missing() {
    return this.known.filter((id) => orders.placeOf(this.order, id) < 0);
  }

  show() {
    const ranks = orders.ranks(this.order);
    for (const id of this.known) {
      this.select(id).value = ranks[id] ?? "";
      const card = this.root.querySelector(`[data-completion="${CSS.escape(id)}"]`);
      const button = card.querySelector("[data-toggle]");
      button.setAttribute("aria-pressed", String(id in ranks));
      card.querySelector(".its-place").textContent = ranks[id]
        ? fill(words.itsPlace, { place: ranks[id] })
        : "";
    }
    this.panel.show(this.order, this.tieNext);
    const left = this.missing.length;
    const note = this.root.querySelector("#rank-note");
    if (this.tieNext) note.textContent = fill(words.tieNext, { letters: this.lastLetters() });
    else note.textContent = left === 0 ? words.complete : fill(words.left, { left });
    this.submitButton.setAttribute("aria-disabled", String(left > 0));
  }

  lastLetters() {
    return (this.order.at(-1) ?? []).map((id) => this.letters[id]).join(" = ");
  }

  /** Take `order` on, remember the one before, keep the draft. */
  change(order, sentence) {
    this.past.push(this.order);
    this.order = order;
    this.tieNext = false;
    this.show();
    this.draft.keep({ ranks: orders.ranks(order), seconds: this.activity.seconds });
    if (sentence) announce(sentence);
  }

  toggle(id) {
    const letter = this.letters[id];
    if (orders.placeOf(this.order, id) >= 0) {
      this.change(orders.take(this.order, id), fill(words.takenOut, { letter }));
    } else {
      this.change(orders.append(this.order, id, this.tieNext));
      this.say(id);
    }
  }

  say(id) {
    const at = orders.placeOf(this.order, id);
    if (at < 0) return;
    const others = this.order[at].filter((other) => other !== id).map((other) => this.letters[other]);
    const sentence = others.length > 0 ? words.tiedAt : words.placedAt;
    announce(fill(sentence, { letter: this.letters[id], place: at + 1, others: others.join(", ") }));
  }

  move(id, target) {
    if (id === null) return this.show();
    if (target === "tray") return this.change(orders.take(this.order, id));
    this.change(
      "gap" in target
        ? orders.insert(this.order, id, target.gap)
        : orders.join(this.order, id, target.place),
    );
    this.panel.focus(id);
    this.say(id);
  }

  back() {
    if (this.tieNext) {
      this.tieNext = false;
      this.show();
    } else if (this.past.length > 0) {
      const before = this.past.pop();
      this.change(before, words.tookBack);
      this.past.pop();
    }
  }

  tie(focused) {
    if (focused) {
      this.change(orders.toggleTie(this.order, focused));
      this.say(focused);
    } else if (this.order.length > 0 && this.missing.length > 0) {
      this.tieNext = !this.tieNext;
      this.show();
      if (this.tieNext) announce(fill(words.tieNext, { letters: this.lastLetters() }));
    }
  }

  step(focused, by) {
    const next = orders.step(this.order, focused, by);
    if (next === this.order) return;
    this.change(next);
    this.say(focused);
  }

  clicked(event) {
    const button = event.target.closest("[data-toggle]");
    if (button) this.toggle(button.closest("[data-completion]").dataset.completion);
  }

  submit() {
    this.form.requestSubmit(this.submitButton);
  }

  submitted(event) {
    if (this.missing.length > 0) {
      event.preventDefault();
      event.stopImmediatePropagation();
      const letters = this.missing.map((id) => this.letters[id]).join(", ");
      const sentence = fill(words.missing, { letters });
      this.root.querySelector("#rank-note").textContent = sentence;
      announce(sentence);
      return;
    }
    this.form.elements.seconds.value = this.activity.seconds;
  }

  async renew() {
    const body = new FormData();
    body.set("csrfmiddlewaretoken", csrfToken(this.form));
    body.set("lease", this.form.elements.lease.value);
    try {
      const response = await fetch(this.root.dataset.renewUrl, {
        method: "POST",
        body,
        headers: { Accept: "application/json", "HX-Request": "true" },
      });
      if (response.status === 409) {
        const { message } = await response.json();
        this.showLost(message);
      }
    } catch {
      // No network: the draft says so already, and the lease outlives a minute.
    }
  }

  showLost(message) {
    const place = this.root.querySelector("#assignment-notice");
    if (place.textContent.trim() === message) return;
    const notice = Object.assign(document.createElement("p"), { className: "notice warn" });
    notice.textContent = message;
    place.replaceChildren(notice);
  }

  showSaved(state, moment) {
    this.saved.textContent = fill(words[state], { time: clock(moment) });
    this.saved.dataset.state = state;
  }

  close() {
    this.draft.close();
    this.activity.close();
    this.panel.close();
  }
}

let desk = null;
let shown = null;

/** Take up what the page shows now: a slate, or a message in its place. */
function open() {
  desk?.close();
  shown = document.getElementById("assignment");
  desk = shown.querySelector("#ranking-form") ? new Desk(shown) : null;
}

function press(event) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const focused = event.target.closest?.(".places .chip")?.dataset.id;
  const by = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 }[key];
  if (by && focused) desk.step(focused, by);
  else if (by) return;
  else if (key === "Enter") {
    if (event.target.closest("a, button:not(.chip), summary")) return;
    if (!event.repeat) desk.submit();
  } else if (key === "Backspace") desk.back();
  else if (key === "Escape" && desk.panel.release()) desk.show();
  else if (key === "=") desk.tie(focused);
  else if (key in desk.ids) desk.toggle(desk.ids[key]);
  else if (key === "s") unfold("#skip");
  else if (key === "g") unfold("#guidelines");
  else return;
  event.preventDefault();
}

/** Open or shut a <details>; the first control in it takes the focus. */
function unfold(selector) {
  const fold = desk.root.querySelector(selector);
  if (!fold) return;
  fold.open = !fold.open;
  if (fold.open) (fold.querySelector("select") ?? fold.querySelector("summary")).focus();
}

const dialog = document.getElementById("keys");
const keysOn = document.getElementById("keys-on");
keysOn.checked = localStorage.getItem(KEYS_OFF) === null;
keysOn.addEventListener("change", () => {
  if (keysOn.checked) localStorage.removeItem(KEYS_OFF);
  else localStorage.setItem(KEYS_OFF, "1");
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || dialog.open) return;
  if (event.target.closest?.("input, select, textarea, [contenteditable]")) return;
  if (!keysOn.checked) return;
  if (event.key === "?") {
    event.preventDefault();
    dialog.showModal();
  } else if (desk) press(event);
});

document.addEventListener("click", (event) => {
  if (event.target.closest?.("[data-open-keys]")) dialog.showModal();
});

document.addEventListener("htmx:after:swap", () => {
  const root = document.getElementById("assignment");
  if (!root || root === shown) return;
  const hadNone = desk === null;
  if (root.dataset.outcome && desk) desk.draft.forget();
  open();
  const heading = root.querySelector("h1");
  const said = root.dataset.announce ?? (hadNone && desk ? heading.textContent : "");
  if (!said) return;
  heading.focus({ preventScroll: true });
  scrollTo({ top: 0 });
  announce(said);
});

// A tab that nobody looks at does not ask for work: what it got would wait there.
document.addEventListener("htmx:before:request", (event) => {
  if (document.hidden && event.detail.ctx.sourceElement.id === "assignment") event.preventDefault();
});

addEventListener("pagehide", () => desk?.draft.flush());
addEventListener("pageshow", (event) => {
  // Back from the history: what is shown may have been submitted since.
  if (event.persisted) location.reload();
});

open();
