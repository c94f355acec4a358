/**
 * One slate on the ranking page: the list of places, drafts and the lease, over a form that works
 * without. All that is said is in the form's fields. Knows nothing of the slate that comes next.
 */

import { Activity } from "./activity.js";
import { Besides } from "./besides.js";
import { Draft } from "./draft.js";
import * as fields from "./fields.js";
import * as orders from "./order.js";
import { Panel } from "./panel.js";
import { Saved } from "./saved.js";
import { announce, fill, tellProblem } from "./say.js";
import { heedSession } from "./session.js";
import { showWritten, turnWritten } from "./written.js";
import { csrfToken, isAnothers, signedBody, signedHeaders } from "../signed.js";

export class Desk {
  /**
   * root: the section that shows it. site: {keys, words, compare, submitted(desk)}; submitted says
   * whether it has taken the submission, so that the form is not sent by itself.
   */
  constructor(root, site) {
    this.root = root;
    this.site = site;
    this.words = site.words;
    this.form = root.querySelector("#ranking-form");
    this.submitButton = root.querySelector("#submit-ranking");
    this.known = []; // in the order shown: an object's keys would be sorted by number
    this.letters = {};
    this.ids = {};
    for (const card of root.querySelectorAll("[data-completion]")) {
      this.known.push(card.dataset.completion);
      this.letters[card.dataset.completion] = card.dataset.letter;
      this.ids[card.dataset.letter.toLowerCase()] = card.dataset.completion;
    }
    this.past = [];
    this.tieNext = false;
    this.last = null; // the completion that was placed, moved or turned to last
    const saved = new Saved(root.querySelector("#saved"), this.words);
    this.draft = new Draft(root, this.form, () => this.said(), (...state) => saved.show(...state));
    const shown = Number(root.dataset.sequence);
    const kept = this.draft.load(shown);
    if (kept) fields.write(this.form, kept.content);
    if (kept || shown > 0) saved.show(this.draft, "kept", this.draft.sequence);
    this.order = orders.fromRanks(this.chosenRanks(), this.known);
    const seconds = kept?.content.find(([name]) => name === "seconds")?.[1] ?? root.dataset.seconds;
    this.activity = new Activity(Number(seconds) || 0, () => this.renew());
    this.panel = new Panel(root.querySelector("#rank-list"), this.letters, this.words, {
      move: (id, target) => this.move(id, target),
      tap: (id) => this.toggle(id),
    });
    this.besides = new Besides(root, this.words, {
      changed: () => this.keep(),
      say: (sentence, how) => this.tell(sentence, how),
      letter: (id) => this.letters[id],
      show: () => this.show(),
    });
    root.addEventListener("click", (event) => this.clicked(event));
    root.addEventListener("input", () => this.keep());
    root.addEventListener("focusin", (event) => this.turnTo(event.target));
    this.form.addEventListener("submit", (event) => this.submitted(event), { capture: true });
    this.site.keys.completions = new Set(Object.keys(this.ids));
    this.site.keys.label(document);
    showWritten(root);
    this.show();
  }

  /** What the selects say: a form that came back with an error, or a page restored by the browser. */
  chosenRanks() {
    return Object.fromEntries(this.known.map((id) => [id, this.select(id).value]));
  }

  select(id) {
    return this.form.elements[`rank-${id}`];
  }

  get shownLetters() {
    return this.known.map((id) => this.letters[id]);
  }

  get missing() {
    return this.known.filter((id) => orders.placeOf(this.order, id) < 0);
  }

  show() {
    const ranks = orders.ranks(this.order);
    for (const id of this.known) {
      this.select(id).value = ranks[id] ?? "";
      const card = this.root.querySelector(`[data-completion="${CSS.escape(id)}"]`);
      const button = card.querySelector("[data-toggle]");
      button.setAttribute("aria-pressed", String(id in ranks));
      card.querySelector(".its-place").textContent = ranks[id]
        ? fill(this.words.itsPlace, { place: ranks[id] })
        : "";
    }
    this.showing = true; // the chip that has the focus gets it again, and nobody has turned to it
    this.panel.show(this.order, this.tieNext);
    this.showing = false;
    this.besides.show();
    this.note();
    this.submitButton.setAttribute("aria-disabled", String(this.missing.length > 0));
  }

  /** Who gives the focus to a chip, or to a completion's grades, means that one from now on. */
  turnTo(target) {
    if (this.showing) return;
    const graded = target.closest("[data-likert]")?.closest("[data-completion]");
    this.last = target.closest(".chip")?.dataset.id ?? graded?.dataset.completion ?? this.last;
  }

  /** Say under the list of places how far it is, where nothing is being asked there. */
  note() {
    if (this.besides.choosing) return;
    const left = this.missing.length;
    const note = this.root.querySelector("#rank-note");
    if (this.tieNext) note.textContent = fill(this.words.tieNext, { letters: this.lastLetters() });
    else note.textContent = left === 0 ? this.words.complete : fill(this.words.left, { left });
  }

  lastLetters() {
    return (this.order.at(-1) ?? []).map((id) => this.letters[id]).join(" = ");
  }

  /** Take `order` on, remember the one before, keep the draft. last: the completion it is about. */
  change(order, last, sentence) {
    this.past.push({ order: this.order, last: this.last });
    this.order = order;
    // A grade never goes to one that was just taken out, but to the last one that has a place.
    this.last = orders.placeOf(order, last) >= 0 ? last : (order.at(-1)?.at(-1) ?? null);
    this.tieNext = false;
    this.show();
    this.keep();
    if (sentence) announce(sentence);
  }

  /** Keep what the form holds now. */
  keep() {
    this.besides.show();
    this.note();
    this.draft.keep(this.said());
  }

  /** What the form holds now, as a draft keeps it. */
  said() {
    return [...fields.read(this.form), ["seconds", String(this.activity.seconds)]];
  }

  /** Say a sentence, and show it under the list of places where it asks for something. */
  tell(sentence, { shown = false } = {}) {
    if (shown) this.root.querySelector("#rank-note").textContent = sentence;
    announce(sentence);
  }

  toggle(id) {
    this.besides.release();
    if (orders.placeOf(this.order, id) >= 0) this.takeOut(id);
    else {
      this.change(orders.append(this.order, id, this.tieNext), id);
      this.say(id);
    }
  }

  takeOut(id) {
    this.change(orders.take(this.order, id), this.last, this.takenOut(id));
  }

  takenOut(id) {
    return fill(this.words.takenOut, { letter: this.letters[id] });
  }

  /** Put one that has no place yet at the next one; the sentence that says where it is. */
  placeNext(id) {
    this.besides.release();
    if (orders.placeOf(this.order, id) < 0) {
      this.change(orders.append(this.order, id, this.tieNext), id);
    }
    return this.whereIs(id);
  }

  /** Nothing was said of this slate yet. */
  get untouched() {
    return this.order.length === 0 && fields.read(this.form).length === 0;
  }

  whereIs(id) {
    const at = orders.placeOf(this.order, id);
    const others = this.order[at].filter((other) => other !== id).map((other) => this.letters[other]);
    const sentence = others.length > 0 ? this.words.tiedAt : this.words.placedAt;
    return fill(sentence, { letter: this.letters[id], place: at + 1, others: others.join(", ") });
  }

  say(id) {
    if (orders.placeOf(this.order, id) >= 0) announce(this.whereIs(id));
  }

  move(id, target) {
    if (id === null) return this.show();
    this.besides.release();
    if (target === "tray") return this.takeOut(id);
    this.change(
      "gap" in target
        ? orders.insert(this.order, id, target.gap)
        : orders.join(this.order, id, target.place),
      id,
    );
    this.panel.focus(id);
    this.say(id);
  }

  back() {
    if (this.tieNext) {
      this.tieNext = false;
      this.show();
    } else if (this.past.length > 0) {
      const { order, last } = this.past.pop();
      const moved = orders.movedBetween(this.order, order);
      this.change(order, last);
      this.past.pop();
      const where = moved.map((id) =>
        orders.placeOf(order, id) >= 0 ? this.whereIs(id) : this.takenOut(id),
      );
      announce([this.words.tookBack, ...where].join(" "));
    }
  }

  tie(focused) {
    if (focused) {
      this.change(orders.toggleTie(this.order, focused), focused);
      this.say(focused);
    } else if (this.order.length > 0 && this.missing.length > 0) {
      this.tieNext = !this.tieNext;
      this.show();
      if (this.tieNext) announce(fill(this.words.tieNext, { letters: this.lastLetters() }));
    }
  }

  step(focused, by) {
    const next = orders.step(this.order, focused, by);
    if (next === this.order) return;
    this.change(next, focused);
    this.say(focused);
  }

  clicked(event) {
    const button = event.target.closest("[data-toggle]");
    if (button) {
      if (event.detail > 0) button.blur(); // by the mouse: Enter then submits, as everywhere
      this.toggle(button.closest("[data-completion]").dataset.completion);
    } else if (event.target.closest("#written")) this.turnWritten();
    else if (event.target.closest("#compare")) {
      event.preventDefault();
      this.compareTwo();
    }
  }

  /** Begin with two that have no place yet, else with the best two. */
  compareTwo() {
    const ids = this.missing.length > 1 ? this.missing : [...this.missing, ...this.order.flat()];
    this.site.compare.open({
      url: this.root.dataset.compareUrl,
      letters: this.shownLetters,
      pair: ids.slice(0, 2).map((id) => this.letters[id]),
      place: (letter) => this.placeNext(this.ids[letter.toLowerCase()]),
    });
  }

  submit() {
    this.form.requestSubmit(this.submitButton);
  }

  submitted(event) {
    const { ungraded } = this.besides;
    const wanting = this.missing.length > 0 ? this.missing : ungraded;
    if (wanting.length > 0) {
      event.preventDefault();
      event.stopImmediatePropagation();
      const letters = wanting.map((id) => this.letters[id]).join(", ");
      const sentence = wanting === ungraded ? this.words.ungraded : this.words.missing;
      this.tell(fill(sentence, { letters }), { shown: true });
      return;
    }
    this.form.elements.seconds.value = this.activity.seconds;
    const taken = this.site.submitted(this);
    if (!taken && this.form.hasAttribute("hx-post")) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (!taken) this.sendWithPage();
  }

  /**
   * A form whose answer is another page is sent once the server would take it: else that answer, or a
   * browser's own, would stand in the place of what was entered.
   */
  async sendWithPage() {
    if (this.asking) return;
    this.asking = true;
    try {
      const response = await fetch(location.href, { method: "HEAD", headers: signedHeaders() });
      heedSession(response.status === 401 && !isAnothers(response));
      if (isAnothers(response)) tellProblem("otherAccount");
      else if (response.ok) {
        this.form.elements.csrfmiddlewaretoken.value = csrfToken(this.form);
        this.form.submit();
      } else if (response.status !== 401) tellProblem(response.status >= 500 ? "broken" : "gone");
    } catch {
      tellProblem("offline");
    } finally {
      this.asking = false;
    }
  }

  turnWritten() {
    announce(turnWritten(this.root) ? this.words.asWritten : this.words.asRendered);
  }

  async renew() {
    if (!this.root.dataset.renewUrl) return;
    const body = signedBody(this.form);
    body.set("lease", this.form.elements.lease.value);
    try {
      const response = await fetch(this.root.dataset.renewUrl, {
        method: "POST",
        body,
        headers: signedHeaders({ Accept: "application/json" }),
      });
      const answer = await response.json().catch(() => null);
      // That somebody else is signed in is said by the draft, which is kept in this browser.
      heedSession(response.status === 401 && !isAnothers(response));
      if (response.ok) this.lost?.remove();
      if (response.status === 409 && answer) this.lost = this.notice(answer.message);
    } catch {
      // No network: the draft says so already, and the lease outlives a minute.
    }
  }

  /** Show a sentence above the work; the element that says it. */
  notice(message) {
    const place = this.root.querySelector("#assignment-notice");
    if (place.textContent.trim() === message) return place.firstElementChild;
    const notice = Object.assign(document.createElement("p"), { className: "notice warn" });
    notice.textContent = message;
    place.replaceChildren(notice);
    return notice;
  }

  close() {
    this.draft.close();
    this.activity.close();
    this.panel.close();
  }
}
