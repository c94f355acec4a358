/** Texts as they were written, or rendered; this browser remembers which. */

const WRITTEN = "rankloop:as-written";

let on = false;
try {
  on = localStorage.getItem(WRITTEN) !== null;
} catch {
  // Storage is shut: texts begin rendered.
}

/** Show the texts in `root` the way that this browser remembers. */
export function showWritten(root) {
  document.documentElement.classList.toggle("show-as-written", on);
  root.querySelector("#written").setAttribute("aria-pressed", String(on));
}

/** The other way; whether texts are shown as written now. */
export function turnWritten(root) {
  on = !on;
  try {
    if (on) localStorage.setItem(WRITTEN, "1");
    else localStorage.removeItem(WRITTEN);
  } catch {
    // Storage is full or shut: it holds until the page goes.
  }
  showWritten(root);
  return on;
}
