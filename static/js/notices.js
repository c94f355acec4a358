/**
 * What can be put away: notices, and the reminder to rest. The server stores it; here is only what a
 * page must know beside that: the next slate was written before, and may still show what is gone.
 */

const away = new Set();
const told = new Set();

const boards = (root) => [...root.querySelectorAll("[data-put-away]")];

/** Take out of `root` what was put away. What it says that this page has not said yet. */
export function newIn(root) {
  for (const board of boards(root)) if (away.has(board.dataset.putAway)) board.remove();
  const fresh = boards(root).filter((board) => !told.has(board.dataset.putAway));
  for (const board of fresh) told.add(board.dataset.putAway);
  return fresh.map((board) => board.querySelector(".text, span")?.textContent.trim() ?? "").join(" ");
}

document.addEventListener("submit", (event) => {
  const board = event.target.closest("[data-put-away]");
  if (board) away.add(board.dataset.putAway);
});

document.addEventListener("htmx:after:swap", () => {
  if (away.size === 0 || document.activeElement !== document.body) return;
  (document.querySelector("h1[tabindex]") ?? document.getElementById("main")).focus({ preventScroll: true });
});
