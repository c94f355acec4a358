/** Where a page says what became of a draft: kept by the server, by this browser alone, or by nobody. */

import { announce, clock, fill } from "./say.js";

/** What somebody who goes on writing has to hear of. */
const TROUBLES = new Set(["local", "unkept", "older", "aside", "declined"]);

export class Saved {
  /** place: where it is said. words: a sentence for each state, and for the buttons. */
  constructor(place, words) {
    this.place = place;
    this.words = words;
    this.offer = Object.assign(document.createElement("span"), { className: "saved aside" });
    place.after(this.offer); // what was put aside is offered for as long as it is there
  }

  /** Say how a draft stands. moment: in milliseconds; reason: the server's, where it said no. */
  show(draft, state, moment, reason = "") {
    const values = { time: clock(moment), reason: reason || this.words.gone };
    const sentence = fill(this.words[state], values);
    const place = state === "aside" ? this.offer : this.place;
    const told = place.dataset.state === state;
    place.replaceChildren(sentence, ...this.buttons(draft, state));
    place.dataset.state = state;
    if (TROUBLES.has(state) && !told) announce(sentence);
  }

  /** Of two drafts that were written side by side, people choose which one counts. */
  buttons(draft, state) {
    if (state === "older") return [this.button(this.words.keepThis, () => draft.takeOver())];
    if (state === "aside") return [this.button(this.words.showAside, () => draft.showAside())];
    return [];
  }

  button(label, pressed) {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "button small", textContent: label });
    button.addEventListener("click", pressed);
    return button;
  }
}
