/** Dialogs that are left so fast that the next key is for the page. */

/**
 * Escape shuts `dialog` at once, where browsers take a moment, and what had the focus in it lets go:
 * a browser leaves it there until it draws again, where nothing had the focus before.
 */
export function shutsAtOnce(dialog) {
  dialog.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.isComposing) return;
    event.preventDefault();
    event.stopPropagation();
    dialog.close();
    if (dialog.contains(document.activeElement)) document.activeElement.blur();
  });
}
