/**
 * What is said beside the ranks: grades, flags, better versions, "none is good", a comment.
 * Each is a field of the form; here are the ways to reach it by keys.
 */

import { isEdited } from "./fields.js";
import { fill } from "./say.js";

const DIGITS = "1234567890-";

export class Besides {
  /** on: {changed(), say(sentence), letter(id), show()}; words: sentences with {…} to fill in. */
  constructor(root, words, on) {
    this.root = root;
    this.words = words;
    this.on = on;
    this.choosing = false; // the next letter says whose flags are meant
    this.flagging = null; // the completion whose flags the digits turn on and off
  }

  card(id) {
    return this.root.querySelector(`[data-completion="${CSS.escape(id)}"]`);
  }

  get ungraded() {
    return [...this.root.querySelectorAll("[data-completion]")]
      .filter((card) => card.querySelector("[data-likert]") && !card.querySelector("[data-likert] input:checked"))
      .map((card) => card.dataset.completion);
  }

  /** Redraw what is drawn from the fields. */
  show() {
    for (const card of this.root.querySelectorAll("[data-completion]")) {
      const count = card.querySelectorAll("[data-flags] input:checked").length;
      const badge = card.querySelector("[data-flag-count]");
      if (badge) {
        badge.textContent = count;
        badge.hidden = count === 0;
      }
      const area = card.querySelector("[data-edit] textarea");
      if (area) card.classList.toggle("edited", isEdited(area));
    }
  }

  /** A digit: a flag of the completion or the prompt whose flags are open, else a grade of `id`. */
  digit(key, target, id) {
    const ofPrompt = target.closest?.("#prompt-flags");
    if (ofPrompt) return this.flag(key, ofPrompt, this.words.thePrompt);
    if (this.flagging !== null) {
      return this.flag(key, this.card(this.flagging).querySelector("[data-flags]"), this.on.letter(this.flagging));
    }
    const choice = id && this.card(id).querySelector(`[data-likert] input[value="${CSS.escape(key)}"]`);
    if (!choice) return false;
    choice.checked = true;
    this.on.changed();
    this.on.say(fill(this.words.graded, { letter: this.on.letter(id), grade: key }));
    return true;
  }

  /** Turn the flag with this digit on or off. letter: what it is a flag of. */
  flag(key, fold, letter) {
    const box = fold.querySelectorAll("input")[DIGITS.indexOf(key)];
    if (!box) return false;
    box.click();
    const sentence = box.checked ? this.words.flagged : this.words.unflagged;
    const flag = box.closest("label").lastChild.textContent.trim();
    this.on.say(fill(sentence, { letter, flag }));
    return true;
  }

  /** Ask whose flags are meant; the answer comes by `flagsOf`. */
  askForFlags(letters) {
    if (!this.root.querySelector("[data-flags]")) return;
    this.choosing = true;
    this.on.say(fill(this.words.flagsOf, { letters }), { shown: true });
  }

  flagsOf(id) {
    this.choosing = false;
    this.flagging = id;
    this.on.show();
    const fold = this.card(id).querySelector("[data-flags]");
    if (!fold) return;
    fold.open = true;
    fold.querySelector("input")?.focus();
  }

  /** Leave the flags; whether there was anything to leave. */
  release() {
    const was = this.choosing || this.flagging !== null;
    if (this.choosing) this.on.show();
    if (this.flagging !== null) {
      const fold = this.card(this.flagging).querySelector("[data-flags]");
      if (fold && !fold.querySelector("input:checked")) fold.open = false;
    }
    this.choosing = false;
    this.flagging = null;
    return was;
  }

  better(id) {
    const fold = id && this.card(id).querySelector("[data-edit]");
    if (!fold) return;
    fold.open = true;
    const area = fold.querySelector("textarea");
    area.focus();
    area.setSelectionRange(area.value.length, area.value.length);
  }

  none() {
    const box = this.root.querySelector('[name="none_good"]');
    box.click();
    this.on.say(box.checked ? this.words.noneIsGood : this.words.someIsGood, { shown: true });
  }
}
