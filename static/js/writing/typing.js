/** Keys that do something while somebody writes. Single letters are letters here. */

export function onKeys(root, form) {
  root.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.altKey && !event.repeat) {
      event.preventDefault();
      form.requestSubmit(form.querySelector("#send"));
    } else if (event.key === "Escape" && event.target.matches("textarea, input, select")) {
      root.querySelector("h1").focus({ preventScroll: true });
    }
  });
}
