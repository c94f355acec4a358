/**
 * What every page shares: announcements, times in the reader's own zone, requests that fail.
 * Pages work without it.
 */

const announcer = () => document.getElementById("announcer");

document.addEventListener("rankloop:announce", (event) => announce(event.detail));
document.addEventListener("rankloop:signed-out", () => tellProblem("signedOut"));

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

/** Write each <time datetime> as the reader's clock shows it; the full date is its title. */
function localTimes(root = document) {
  const day = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium" });
  const clock = new Intl.DateTimeFormat(document.documentElement.lang, { timeStyle: "short" });
  for (const element of root.querySelectorAll("time[datetime]:not([data-local])")) {
    const moment = new Date(element.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    const today = moment.toDateString() === new Date().toDateString();
    element.textContent = today ? clock.format(moment) : `${day.format(moment)}, ${clock.format(moment)}`;
    element.title = moment.toLocaleString(document.documentElement.lang);
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

/** Say at the page's foot that a request failed, and what is safe. */
function tellProblem(kind) {
  const box = document.getElementById("request-problem");
  box.querySelector("p").textContent = box.dataset[kind];
  box.querySelector("a").hidden = kind !== "signedOut";
  box.hidden = false;
}

function hideProblem() {
  document.getElementById("request-problem").hidden = true;
}

/** Which sentence fits a status that was not swapped in; none for those a page handles itself. */
function kindOf(status) {
  if (status === 401) return "signedOut";
  if (status >= 500) return "broken";
  return [403, 404].includes(status) ? "gone" : null;
}

/** The CSRF token changes when one signs in again in another tab: send the one that holds now. */
function freshToken(context) {
  const cookie = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1];
  const body = context.request.body;
  if (cookie && body?.has?.("csrfmiddlewaretoken")) body.set("csrfmiddlewaretoken", cookie);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (button) copy(button);
  if (event.target.closest?.("[data-dismiss]")) hideProblem();
});
document.addEventListener("htmx:config:request", (event) => freshToken(event.detail.ctx));
document.addEventListener("htmx:after:request", (event) => {
  const kind = kindOf(event.detail.ctx.response.status);
  if (kind) tellProblem(kind);
  else hideProblem();
});
document.addEventListener("htmx:error", (event) => {
  if (event.detail.ctx && !event.detail.ctx.response) tellProblem("offline");
});
document.addEventListener("htmx:after:swap", () => localTimes());
localTimes();

// On a phone the tabs scroll: show those that we are on.
for (const tabs of document.querySelectorAll(".tabs")) {
  const current = tabs.querySelector("[aria-current]");
  if (current) tabs.scrollLeft = current.offsetLeft - (tabs.clientWidth - current.clientWidth) / 2;
}
