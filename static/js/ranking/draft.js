/**
 * Keeps what the form holds: at once in this browser, a moment later on the server.
 * Knows nothing of what is written or ranked, and how it is shown.
 */

import { heedSession } from "./session.js";
import { isAnothers, signedBody, signedHeaders } from "../signed.js";

const DELAY = 500;
const RETRY = 5_000;

/** Of a draft that will not be taken as it is, however often it is sent. */
const DECLINED = new Set([400, 404, 409, 410, 413, 422]);

export class Draft {
  /**
   * root carries data-draft-url and data-draft-key, or data-slate, data-ranking and data-labeler;
   * form the CSRF token and maybe a lease. said(): what the page holds now.
   * onState(draft, state, moment, reason) is called with "saved", "local", "unkept", "older",
   * "aside" or "declined", the time in milliseconds, and for the last what the server said.
   */
  constructor(root, form, said, onState) {
    const { draftUrl, draftKey, labeler, slate, ranking } = root.dataset;
    this.url = draftUrl;
    this.key = draftKey ?? `rankloop:draft:${labeler}:${slate}:${ranking ?? ""}`;
    this.asideKey = `${this.key}:aside`; // written in a tab that was not the newest
    this.form = form;
    this.said = said;
    this.onState = (...state) => onState(this, ...state);
    this.sequence = 0;
    this.basedOn = 0; // the newest draft that this page has seen, or may have stored
    this.waiting = null;
    this.due = null; // when it is sent, on the page's own clock
    this.unsent = null;
    this.sending = false;
    this.closed = false;
    this.superseded = false;
    this.tookOver = false;
    this.online = () => this.send();
    addEventListener("online", this.online);
  }

  /**
   * What this browser kept, where it is newer than what the page shows; else null.
   * shown: the sequence of the draft that the page shows, 0 for none.
   */
  load(shown) {
    const local = this.stored(this.key);
    const newer = local !== null && local.sequence > shown;
    this.sequence = newer ? local.sequence : shown;
    this.basedOn = this.sequence;
    if (newer) {
      this.unsent = { sequence: local.sequence, content: local.content };
      this.later(DELAY);
    }
    const aside = this.stored(this.asideKey);
    if (aside) setTimeout(() => this.onState("aside", aside.sequence));
    return newer ? local : null;
  }

  /** {sequence, content} as this browser has it under `key`; null for none. */
  stored(key) {
    try {
      const found = JSON.parse(localStorage.getItem(key));
      return Number.isFinite(found?.sequence) && Array.isArray(found.content) ? found : null;
    } catch {
      return null; // storage that is full, shut or broken is as good as empty
    }
  }

  /** Whether this browser keeps `draft` under `key`. */
  store(key, draft) {
    try {
      localStorage.setItem(key, JSON.stringify(draft));
      return true;
    } catch {
      return false;
    }
  }

  remove(...keys) {
    try {
      for (const key of keys) localStorage.removeItem(key);
    } catch {
      // Nothing was kept.
    }
  }

  /** Keep `content` now; send it within half a second. */
  keep(content) {
    if (this.closed) return;
    this.sequence = Math.max(Date.now(), this.sequence + 1);
    if (this.superseded) {
      const kept = this.store(this.asideKey, { sequence: this.sequence, content });
      this.onState(kept ? "older" : "unkept", this.sequence);
      return;
    }
    this.unsent = { sequence: this.sequence, content };
    this.local = this.store(this.key, this.unsent); // the server's copy is the one that counts
    this.later(DELAY);
  }

  /** Send in a while, or earlier where that is due already: steady typing puts nothing off. */
  later(milliseconds) {
    const due = performance.now() + milliseconds;
    if (this.due !== null && this.due <= due) return;
    clearTimeout(this.waiting);
    this.due = due;
    this.waiting = setTimeout(() => {
      this.due = null;
      this.send();
    }, milliseconds);
  }

  /** What is unsent is being submitted: it is sent as a draft only if that fails. */
  rest() {
    this.due = null;
    if (this.unsent) this.later(RETRY);
  }

  body({ sequence, content }) {
    const body = signedBody(this.form);
    if (this.form.elements.lease) body.set("lease", this.form.elements.lease.value);
    body.set("sequence", sequence);
    body.set("based_on", this.basedOn);
    body.set("content", JSON.stringify(content));
    return body;
  }

  /** Send what is unsent. A failure is told, and tried again in a while. */
  async send() {
    if (this.sending || !this.unsent || this.closed) return;
    const draft = this.unsent;
    this.sending = true;
    try {
      const response = await fetch(this.url, {
        method: "POST",
        body: this.body(draft),
        headers: signedHeaders({ Accept: "application/json" }),
        redirect: "error",
      });
      const answer = await response.json().catch(() => null);
      const anothers = isAnothers(response);
      heedSession(response.status === 401 && !anothers);
      if (response.ok) {
        this.answered(draft, answer.saved);
      } else if (anothers || DECLINED.has(response.status)) {
        this.onState(this.local === false ? "unkept" : "declined", Date.now(), answer?.message);
        if (anothers) this.later(RETRY); // until this page's own person has signed in again
      } else {
        this.failed();
      }
    } catch {
      this.basedOn = draft.sequence; // it may have been stored, though no answer came
      this.failed();
    } finally {
      this.sending = false;
    }
    if (this.unsent && this.unsent !== draft) this.send();
  }

  /** What became of `draft`; saved: a newer one is there, or it was submitted, where it is false. */
  answered(draft, saved) {
    if (this.closed) return; // it was submitted meanwhile
    if (this.unsent === draft) this.unsent = null;
    if (saved) {
      this.basedOn = draft.sequence;
      this.tookOver = false;
      this.onState("saved", Date.now());
      return;
    }
    const kept = this.supersede(this.unsent ?? draft);
    // Who said that this one counts, and it does not: there is nothing left that it could be.
    this.onState(!kept ? "unkept" : this.tookOver ? "declined" : "older", Date.now());
  }

  failed() {
    this.onState(this.local === false ? "unkept" : "local", Date.now());
    this.later(RETRY);
  }

  /** Another tab has a newer draft, which stays: what is written here is put aside, if it can be. */
  supersede(draft) {
    this.superseded = true;
    this.unsent = null;
    if (this.stored(this.key)?.sequence === draft.sequence) this.remove(this.key);
    return this.store(this.asideKey, draft);
  }

  /** What this tab shows is to count, not what is newer elsewhere. */
  takeOver() {
    this.superseded = false;
    this.tookOver = true;
    this.basedOn = Number.MAX_SAFE_INTEGER;
    this.remove(this.asideKey);
    this.keep(this.said());
    this.send();
  }

  /** Show what was put aside, as the newest, and put aside what is shown: they change places. */
  showAside() {
    const aside = this.stored(this.asideKey);
    if (!aside) return;
    const shown = { sequence: this.sequence, content: this.said() };
    const sequence = Math.max(Date.now(), this.sequence + 1);
    if (!this.store(this.key, { sequence, content: aside.content })) return;
    const empty = shown.content.every(([name, value]) => name === "seconds" || value === "");
    if (empty) this.remove(this.asideKey);
    else this.store(this.asideKey, shown);
    this.unsent = null;
    this.closed = true;
    location.reload();
  }

  /** The page goes away: hand over what is unsent, without waiting. */
  flush() {
    clearTimeout(this.waiting);
    if (this.unsent && !this.closed) navigator.sendBeacon(this.url, this.body(this.unsent));
  }

  /** The page goes on to another slate. */
  close() {
    this.flush();
    this.closed = true;
    removeEventListener("online", this.online);
  }

  /** It was submitted: no draft is needed any more. */
  forget() {
    clearTimeout(this.waiting);
    this.closed = true;
    removeEventListener("online", this.online);
    this.remove(this.key);
  }
}
