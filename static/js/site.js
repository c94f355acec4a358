/**
 * What every page shares: announcements, times in the reader's own zone, requests that fail.
 * Pages work without it.
 */

import { Resending } from "./resending.js";
import { isAnothers, signedBody, signedHeaders } from "./signed.js";

const announcer = () => document.getElementById("announcer");

document.addEventListener("rankloop:announce", (event) => announce(event.detail));
document.addEventListener("rankloop:signed-out", () => tellProblem("signedOut"));
document.addEventListener("rankloop:problem", (event) => tellProblem(event.detail));
document.addEventListener("rankloop:signed-in", () => hideProblem());

/** Say something to a screen reader; seen by nobody. */
function announce(sentence) {
  const place = announcer();
  if (place) {
    place.textContent = "";
    requestAnimationFrame(() => {
      place.textContent = sentence;
    });
  }
}

/**
 * Write each <time datetime> as the reader's clock shows it; the full date is its title. data-day:
 * only the date is shown; data-age: it says how long ago, and stays as it is.
 */
function localTimes(root = document) {
  const { lang } = document.documentElement;
  const day = new Intl.DateTimeFormat(lang, { dateStyle: "medium" });
  const clock = new Intl.DateTimeFormat(lang, { timeStyle: "short" });
  const both = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "short" });
  for (const element of root.querySelectorAll("time[datetime]:not([data-local])")) {
    const moment = new Date(element.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    const today = moment.toDateString() === new Date().toDateString();
    if ("day" in element.dataset) element.textContent = day.format(moment);
    else if (!("age" in element.dataset)) {
      element.textContent = (today ? clock : both).format(moment);
    }
    element.title = moment.toLocaleString(lang);
    element.dataset.local = "";
  }
}

/** Copy the text of the element that data-copy names. */
async function copy(button) {
  const source = document.querySelector(button.dataset.copy);
  if (!source) return;
  const text = source.value ?? source.textContent;
  try {
    await navigator.clipboard.writeText(text.trim());
    announce(button.dataset.copied);
    button.textContent = button.dataset.copied;
  } catch {
    source.select?.();
  }
}

let fresh = Date.now(); // when the server answered last

/** Say at the page's foot that a request failed, and what is safe. What stands there is not said twice. */
function tellProblem(kind) {
  const box = document.getElementById("request-problem");
  const time = new Intl.DateTimeFormat(document.documentElement.lang, { timeStyle: "short" }).format(fresh);
  const sentence = box.dataset[kind].replace("{time}", time);
  const place = box.querySelector("p");
  if (place.textContent !== sentence) place.textContent = sentence;
  box.querySelector("a").hidden = kind !== "signedOut";
  box.hidden = false;
}

const resending = new Resending(() => tellProblem("changed"));

/** Nobody took a request. */
function away({ sourceElement }) {
  if (asksByItself(sourceElement)) tellProblem("stale");
  else tellProblem(resending.takes(sourceElement) ? "resending" : "offline");
}

/** A page that asks again by itself loses nothing that somebody entered: it is only older. */
const asksByItself = (element) => element.matches("[hx-trigger^='every']");

/** Requests whose whole answer came: a network may break off within one. */
const answered = new WeakSet();

/** What a proxy says for a server that is not there: it starts anew, or has too much to do. */
const AWAY = new Set([502, 503, 504]);

function hideProblem() {
  const box = document.getElementById("request-problem");
  box.hidden = true;
  box.querySelector("p").textContent = "";
}

/** Which sentence fits an answer that was not swapped in; none for those a page handles itself. */
function kindOf(response) {
  const { status } = response;
  if (isAnothers(response)) return "otherAccount";
  if (status === 401) return "signedOut";
  if (status >= 500) return "broken";
  return [403, 404].includes(status) ? "gone" : null;
}

/** What htmx sends carries what every request of a script does. */
function sign({ request, sourceElement }) {
  Object.assign(request.headers, signedHeaders());
  const form = sourceElement.closest("form");
  if (!form || !request.body?.has?.("csrfmiddlewaretoken")) return;
  for (const [name, value] of signedBody(form)) request.body.set(name, value);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (button) copy(button);
  if (event.target.closest?.("[data-dismiss]")) hideProblem();
});
document.addEventListener("htmx:config:request", (event) => sign(event.detail.ctx));
document.addEventListener("htmx:after:request", (event) => {
  const { ctx } = event.detail;
  const { response, sourceElement } = ctx;
  answered.add(ctx);
  const kind = kindOf(response);
  if (kind === null) {
    fresh = Date.now();
    if (!resending.waiting) hideProblem();
  } else if (AWAY.has(response.status)) away(ctx);
  else tellProblem(kind === "broken" && asksByItself(sourceElement) ? "stale" : kind);
});
document.addEventListener("htmx:error", (event) => {
  const { ctx } = event.detail;
  if (ctx && !answered.has(ctx)) away(ctx);
});

// What is written while a form is under way would go with it: its texts wait for the answer.
document.addEventListener("htmx:before:request", (event) => hold(event.detail.ctx, true));
document.addEventListener("htmx:finally:request", (event) => hold(event.detail.ctx, false));

function hold({ sourceElement }, isHeld) {
  if (!sourceElement.matches("form[data-resend]")) return;
  for (const field of sourceElement.elements) {
    if (field.matches("textarea")) field.readOnly = isHeld;
  }
}

// What takes long says so, and is not sent twice.
document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-busy]");
  if (!form || event.defaultPrevented) return;
  if (form.querySelector(".busy")) return void event.preventDefault();
  const said = Object.assign(document.createElement("p"), { className: "busy help", role: "status" });
  form.append(said);
  said.textContent = form.dataset.busy;
});
addEventListener("pageshow", () => {
  for (const said of document.querySelectorAll("form[data-busy] .busy")) said.remove();
});
document.addEventListener("htmx:after:swap", () => localTimes());
localTimes();

// A form that came back: to the first field that is wrong.
document.querySelector("main [aria-invalid='true']")?.focus();

// What somebody entered is not left behind by a slip: forms with data-guard ask before the page goes.
const unsent = new Set();
document.addEventListener("input", (event) => {
  const { form } = event.target;
  if (form && "guard" in form.dataset) unsent.add(form);
});
document.addEventListener("submit", (event) => {
  if (!event.defaultPrevented) unsent.delete(event.target);
});
addEventListener("beforeunload", (event) => {
  if ([...unsent].some((form) => form.isConnected)) event.preventDefault();
});

// On a phone the tabs scroll: show those that we are on.
for (const tabs of document.querySelectorAll(".tabs")) {
  const current = tabs.querySelector("[aria-current]");
  if (current) tabs.scrollLeft = current.offsetLeft - (tabs.clientWidth - current.clientWidth) / 2;
}
