/**
 * What every page shares: announcements, times in the reader's own zone, requests that fail.
 * Pages work without it.
 */

const announcer = () => document.getElementById("announcer");

/** Say something to a screen reader; seen by nobody. */
export function announce(sentence) {
  const place = announcer();
  if (place) {
    place.textContent = "";
    requestAnimationFrame(() => {
      place.textContent = sentence;
    });
  }
}

/** Write each <time datetime> as the reader's clock shows it; the full date is its title. */
export function localTimes(root = document) {
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

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (button) copy(button);
});
document.addEventListener("htmx:after:swap", () => localTimes());
localTimes();
