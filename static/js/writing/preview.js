/** The text as readers will see it, rendered by the server while it is typed. */

import { tellProblem } from "../ranking/say.js";
import { isAnothers, signedBody, signedHeaders } from "../signed.js";

const DELAY = 400;

export class Preview {
  /** unreachable: what to say where the server does not answer. */
  constructor(root, form, unreachable) {
    this.url = root.dataset.previewUrl;
    this.form = form;
    this.unreachable = unreachable;
    this.panel = root.querySelector("#preview");
    this.shown = root.querySelector("#shown");
    this.button = root.querySelector("#preview-button");
    this.waiting = null;
    this.asked = 0;
    this.mark();
    this.button.addEventListener("click", (event) => {
      event.preventDefault();
      this.turn();
    });
  }

  get open() {
    return !this.panel.hidden;
  }

  mark() {
    this.button.setAttribute("aria-expanded", String(this.open));
  }

  turn() {
    this.panel.hidden = this.open;
    this.mark();
    if (this.open) this.load();
  }

  /** The text has changed. */
  changed() {
    clearTimeout(this.waiting);
    if (this.open) this.waiting = setTimeout(() => this.load(), DELAY);
  }

  /** Of two that were asked for in a row only the last one counts. */
  async load() {
    this.asked += 1;
    const mine = this.asked;
    const body = signedBody(this.form);
    body.set("text", this.form.elements.text.value);
    let html = null;
    try {
      const response = await fetch(this.url, {
        method: "POST",
        body,
        headers: signedHeaders(),
        redirect: "error",
      });
      if (response.ok) html = await response.text();
      else if (isAnothers(response)) tellProblem("otherAccount");
      else if (response.status === 401) document.dispatchEvent(new CustomEvent("rankloop:signed-out"));
    } catch {
      // No network: said below.
    }
    if (mine !== this.asked) return;
    if (html === null) this.shown.textContent = this.unreachable;
    else this.shown.innerHTML = html;
  }
}
