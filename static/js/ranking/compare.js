/** Two completions beside each other in a dialog; letters choose which, arrows place one of them. */

import { shutsAtOnce } from "./dialogs.js";
import { keyOf } from "./keys.js";
import { signedHeaders } from "../signed.js";

export class Compare {
  /** failed: what to say where the server can't be reached. */
  constructor(dialog, failed, keys) {
    this.dialog = dialog;
    this.keys = keys;
    this.failed = failed;
    this.body = dialog.querySelector("#compare-body");
    this.pair = ["A", "B"];
    this.side = 0; // the next letter takes this side
    this.url = "";
    this.letters = [];
    this.place = () => {};
    dialog.addEventListener("keydown", (event) => this.pressed(event));
    shutsAtOnce(dialog);
  }

  /**
   * url: of the slate; letters: those there are; pair: to begin with; place(letter) puts it at the
   * next place and returns what to say.
   */
  open({ url, letters, pair, place }) {
    Object.assign(this, { url, letters, pair, place, side: 0 });
    this.say("");
    this.dialog.showModal();
    this.load();
  }

  /** Show the pair; of two that were asked for in a row only the last one counts. */
  async load() {
    const [left, right] = this.pair;
    const address = `${this.url}?${new URLSearchParams({ left, right })}`;
    this.address = address;
    let html = null;
    try {
      const response = await fetch(address, { headers: signedHeaders() });
      if (response.ok) html = await response.text();
    } catch {
      // No network: said below.
    }
    if (this.address !== address) return;
    if (html === null) this.body.textContent = this.failed;
    else this.body.innerHTML = html;
  }

  /** The dialog is all that is heard and seen while it is open. */
  say(sentence) {
    this.dialog.querySelector("#compare-said").textContent = sentence;
  }

  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !this.keys.on) return;
    const letter = keyOf(event).toUpperCase();
    if (this.letters.includes(letter)) {
      this.pair = this.side === 0 ? [letter, this.pair[1]] : [this.pair[0], letter];
      this.side = 1 - this.side;
      this.say(this.pair.join(" · "));
      this.load();
    } else if (event.key === "ArrowLeft") this.say(this.place(this.pair[0]));
    else if (event.key === "ArrowRight") this.say(this.place(this.pair[1]));
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
