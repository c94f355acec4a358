/** Whether the person is still signed in, as the answers to what a script sends by itself show it. */

let out = false;

/** Say once that the session is over, and take it back once it is there again. */
export function heedSession(isOver) {
  if (isOver === out) return;
  out = !out;
  document.dispatchEvent(new CustomEvent(out ? "rankloop:signed-out" : "rankloop:signed-in"));
}
