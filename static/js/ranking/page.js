/**
 * The ranking page: what keys do, which slate is shown, and the one that comes next.
 * One Desk serves one slate; after each submission the next takes its place and a new Desk opens.
 */

/* global htmx */

import { Compare } from "./compare.js";
import { Desk } from "./desk.js";
import { shutsAtOnce } from "./dialogs.js";
import * as fields from "./fields.js";
import { Keys, keyOf, openable } from "./keys.js";
import { Outbox } from "./outbox.js";
import { announce, fill } from "./say.js";
import { newIn } from "../notices.js";
import { signedHeaders } from "../signed.js";

const ASK_AGAIN = 5_000;

const page = document.getElementById("ranking-words");
const words = page.dataset;
const keys = new Keys();
const site = {
  keys,
  words,
  compare: new Compare(document.getElementById("compare-dialog"), words.unreachable, keys),
  submitted: (from) => handOver(from),
};
let desk = null;
let shown = null;
let askingAgain = null;
let ahead = null; // the next slate, as the element that will stand in the place of this one
let lookingFrom = null; // the desk for which the next slate is being asked for
const outbox = new Outbox(words.labeler, () => document.querySelector("form"), words.gone, {
  changed: (entries) => showOutbox(entries),
  taken(entry, answer) {
    document.getElementById("refused").hidden = true;
    agree(entry, answer);
  },
  refused(entry, answer) {
    if (answer?.message) tellRefused(answer.message);
    agree(entry, answer);
  },
  signedOut(why) {
    if (why) tellRefused(why);
    else document.dispatchEvent(new CustomEvent("rankloop:signed-out")); // also where it was closed
  },
});
const underWay = () => outbox.underWay(words.project);

/** What is not sent yet, and what will never be: with its reason and all that was written in it. */
function showOutbox(entries) {
  const place = document.getElementById("outbox");
  const stuck = entries.filter((entry) => entry.stuck !== undefined);
  const waiting = entries.length - stuck.length;
  const state = JSON.stringify([waiting, stuck.map((entry) => [entry.id, entry.stuck])]);
  if (place.dataset.state !== state) {
    // It is tried again every few seconds: what has not changed is not said again.
    place.dataset.state = state;
    place.hidden = entries.length === 0;
    place.querySelector("p").textContent = waiting > 0 ? fill(words.waiting, { count: waiting }) : "";
    place.querySelector("ul").replaceChildren(...stuck.map(stuckItem));
  }
  if (underWay().length > 0) return;
  if (shown?.dataset.outcome === "waiting") showOpen();
  else lookAhead();
}

function stuckItem(entry) {
  const item = document.createElement("li");
  const texts = entry.fields.filter(([name]) => name === "comment" || name.startsWith("edit-"));
  item.textContent = [fill(words.stuck, { reason: entry.stuck }), ...texts.map(([, text]) => text)].join(" ");
  const button = Object.assign(document.createElement("button"), {
    type: "button",
    className: "button small",
    textContent: words.letGo,
  });
  button.addEventListener("click", () => {
    if (confirm(words.letGoAsk)) outbox.remove(entry.id);
  });
  item.append(" ", button);
  return item;
}

/** Say why a submission was refused, where the next slate does not take it away. */
function tellRefused(message) {
  const place = document.getElementById("refused");
  if (!place.hidden && place.textContent === message) return; // it is tried again and again
  place.textContent = message;
  place.hidden = false;
  announce(message);
}

/** Where the server says that another slate is open now, and nothing was said of this one: show it. */
function agree(entry, answer) {
  const open = answer?.open;
  if (entry.project !== words.project || !desk?.root.dataset.renewUrl || open === undefined) return;
  if (String(open) !== desk.root.dataset.assignment && desk.untouched) showOpen();
}

/** Guidelines were published meanwhile. Whoever is at this slate already reads them after it. */
function readFirst() {
  if (desk.untouched) showOpen();
  else desk.notice(words.newGuidelines);
}

/** Ask for the slate that is open now, and show it in the place of what is shown. */
function showOpen() {
  ahead = null;
  clearTimeout(askingAgain);
  // "Sending" would be there for good, were this answer lost: nothing is under way any more.
  askingAgain = setTimeout(() => showOutbox(outbox.entries), ASK_AGAIN);
  htmx.ajax("GET", words.rankUrl, { target: "#assignment", swap: "outerHTML" });
}

/** Ask for the next slate, once for each desk, so that it is here when this one is submitted. */
async function lookAhead() {
  if (ahead || lookingFrom === desk || !desk?.root.dataset.renewUrl || underWay().length > 0) return;
  const asked = desk;
  lookingFrom = asked;
  try {
    const response = await fetch(words.aheadUrl, { headers: signedHeaders() });
    if (asked === desk && response.headers.has("Read-First")) readFirst();
    if (response.status !== 200 || asked !== desk) return;
    const made = document.createElement("template");
    made.innerHTML = await response.text();
    if (asked === desk) ahead = made.content.querySelector("#assignment");
  } catch {
    // No network: the next one comes by the usual way.
  } finally {
    if (lookingFrom === asked) lookingFrom = null; // the answer, or none, is here: ask again where it was none
  }
}

/**
 * Put the submission into the outbox and show the next slate, where it is here already; or that it
 * is being sent, where others wait before it. False: the form is sent as forms are.
 */
function handOver(from) {
  const { lease, seconds, guidelines } = from.form.elements;
  const next = ahead ?? (underWay().length > 0 ? awaiting() : null);
  // What has no lease to renew is no prompt of the queue: a correction, a turn of a conversation.
  if (!next || !lease || !from.root.dataset.renewUrl) return false;
  const beside = [lease, seconds, guidelines].map((field) => [field.name, field.value]);
  const said = [...fields.read(from.form), ...beside];
  const { slate } = from.root.dataset;
  if (!outbox.put({ url: from.form.action, slate, project: words.project, fields: said })) return false;
  document.getElementById("refused").hidden = true;
  from.root.replaceWith(next);
  htmx.process(next);
  arrived(next);
  return true;
}

/** What stands in the place of a slate while it is sent. */
const awaiting = () =>
  document.getElementById("awaiting").content.querySelector("#assignment").cloneNode(true);

/** Take up what the page shows now: a slate, or a message in its place. */
function open() {
  desk?.close();
  shown = document.getElementById("assignment");
  if (underWay().some((entry) => entry.slate === shown.dataset.slate)) {
    const waiting = awaiting(); // it was submitted before the page was loaded again
    shown.replaceWith(waiting);
    shown = waiting;
  }
  desk = shown.querySelector("#ranking-form") ? new Desk(shown, site) : null;
  if (desk) setTimeout(lookAhead, 300);
  else keys.label(document);
}

const ACTIONS = {
  flags: () => desk.besides.askForFlags(desk.shownLetters.join(", ")),
  prompt: () => unfold("#prompt-flags"),
  compare: () => desk.compareTwo(),
  written: () => desk.turnWritten(),
  better: () => desk.besides.better(desk.last ?? desk.order[0]?.[0]),
  none: () => desk.besides.none(),
  comment: () => unfold("#comment"),
  skip: () => unfold("#skip"),
  guidelines: () => unfold("#guidelines"),
  break: () => desk.root.querySelector("#take-break")?.click(),
  async undo() {
    await outbox.send(); // what was submitted last may still be on its way
    const count = underWay().length;
    if (count > 0) desk.tell(fill(words.waiting, { count }), { shown: true });
    else document.getElementById("undo")?.click();
  },
  dismiss: () => document.querySelector("[data-put-away-button]")?.click(),
};

/** Where no slate stands: the break ends by its key, a notice is dismissed by its own. */
function pressAside(event) {
  const action = event.repeat ? undefined : keys.action(event);
  const place = { break: "#end-break", dismiss: "[data-put-away-button]" }[action];
  const button = place && document.querySelector(place);
  if (!button) return;
  event.preventDefault();
  button.click();
}

function press(event) {
  const key = keyOf(event);
  const focused = event.target.closest?.(".places .chip")?.dataset.id;
  const by = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 }[key];
  const action = keys.action(event);
  if (by && focused) desk.step(focused, by);
  else if (by) return;
  else if (key === "Enter") {
    if (event.target.closest("a, button:not(.chip), summary")) return;
    if (!event.repeat) desk.submit();
  } else if (key === "Backspace") {
    if (!event.repeat) desk.back();
  } else if (key === "Escape") {
    if (desk.besides.release() || event.target.closest("#prompt-flags")) leave();
    const held = desk.panel.release();
    if (held) {
      desk.show();
      desk.panel.focus(held);
    }
  } else if (event.repeat) return;
  else if (key === "=") desk.tie(focused);
  else if (key in desk.ids && !event.shiftKey) {
    if (desk.besides.choosing) desk.besides.flagsOf(desk.ids[key]);
    else desk.toggle(desk.ids[key]);
  } else if (action) ACTIONS[action]();
  else if (!/^[\d-]$/.test(key) || !desk.besides.digit(key, event.target, desk.last)) return;
  event.preventDefault();
}

/** Out of a text or the flags: letters are keys again, and the page stays where it is. */
function leave() {
  desk.root.querySelector("h1").focus({ preventScroll: true });
}

/**
 * Open or shut a <details>; the first control in it takes the focus. One with a text is not shut from
 * outside: whoever left the text by Escape goes back to it by the same key.
 */
function unfold(selector) {
  const fold = desk.root.querySelector(selector);
  if (!fold) return;
  const outside = !fold.contains(document.activeElement);
  fold.open = !fold.open || (outside && fold.querySelector("textarea") !== null);
  if (fold.open) {
    (fold.querySelector("select, textarea, input:not([type=hidden])") ?? fold.querySelector("summary")).focus();
  }
}

const dialog = document.getElementById("keys");
openable(dialog, keys, words);
shutsAtOnce(dialog);

/** Ctrl and Enter submit from within a text of the form, where Enter begins a new line. */
function submitsText(event) {
  const inText = desk && event.target.form === desk.form && event.target.matches?.("textarea");
  return inText && event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.altKey;
}

document.addEventListener("keydown", (event) => {
  if (event.isComposing || document.querySelector("dialog[open]")) return;
  if (submitsText(event)) {
    event.preventDefault();
    if (!event.repeat) desk.submit();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest?.("select, textarea, [contenteditable], input:not([type=checkbox], [type=radio])")) {
    if (event.key === "Escape" && desk) leave();
    return;
  }
  if (!keys.on) return;
  if (keyOf(event) === "?") {
    event.preventDefault();
    dialog.showModal();
  } else if (desk) press(event);
  else pressAside(event);
});

document.addEventListener("click", (event) => {
  if (event.target.closest?.("[data-open-keys]")) dialog.showModal();
});

/** Another slate, or a message in its place, stands where the last one was. */
function arrived(root) {
  const hadNone = desk === null;
  ahead = null;
  if (root.dataset.outcome && desk) desk.draft.forget();
  open();
  const heading = root.querySelector("h1");
  const news = newIn(root);
  const next = root.dataset.announce ?? (hadNone && desk ? heading.textContent : "");
  if (!next) return;
  const said = [next, news].filter(Boolean).join(" ");
  heading.focus({ preventScroll: true });
  scrollTo({ top: 0 });
  announce(said);
}

document.addEventListener("htmx:after:swap", () => {
  const root = document.getElementById("assignment");
  if (root && root !== shown) arrived(root);
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

newIn(document);
open();
outbox.send();
