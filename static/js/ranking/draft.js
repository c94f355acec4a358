/**
 * Keeps what the form holds: at once in this browser, a moment later on the server.
 * Knows nothing of what is written or ranked, and how it is shown.
 */

import { csrfToken } from "./csrf.js";

const DELAY = 500;
const RETRY = 5_000;

export class Draft {
  /**
   * root carries data-draft-url and data-draft-key, or data-slate, data-ranking and data-labeler;
   * form the CSRF token and maybe a lease. onState is called with "saved", "local", "unkept" or "older", and the time in
   * milliseconds.
   */
  constructor(root, form, onState) {
    const { draftUrl, draftKey, labeler, slate, ranking } = root.dataset;
    this.url = draftUrl;
    this.key = draftKey ?? `rankloop:draft:${labeler}:${slate}:${ranking ?? ""}`;
    this.form = form;
    this.onState = onState;
    this.sequence = 0;
    this.basedOn = 0; // the newest draft that this page has seen, or may have stored
    this.waiting = null;
    this.unsent = null;
    this.sending = false;
    this.closed = false;
    this.superseded = false;
    this.online = () => this.send();
    addEventListener("online", this.online);
  }

  /**
   * What this browser kept, where it is newer than what the page shows; else null.
   * shown: the sequence of the draft that the page shows, 0 for none.
   */
  load(shown) {
    let local = null;
    try {
      local = JSON.parse(localStorage.getItem(this.key));
    } catch {
      // Storage that is full, shut or broken is as good as empty.
    }
    const newer = Number.isFinite(local?.sequence) && local.sequence > shown && Array.isArray(local.content);
    this.sequence = newer ? local.sequence : shown;
    this.basedOn = this.sequence;
    if (newer) {
      this.unsent = { sequence: local.sequence, content: local.content };
      this.later(DELAY);
    }
    return newer ? local : null;
  }

  /** Keep `content` now; send it when nothing more happened for half a second. */
  keep(content) {
    if (this.closed || this.superseded) return;
    this.sequence = Math.max(Date.now(), this.sequence + 1);
    this.unsent = { sequence: this.sequence, content };
    this.local = true;
    try {
      localStorage.setItem(this.key, JSON.stringify(this.unsent));
    } catch {
      this.local = false; // the server's copy is the one that counts
    }
    this.later(DELAY);
  }

  later(milliseconds) {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.send(), milliseconds);
  }

  body({ sequence, content }) {
    const body = new FormData();
    body.set("csrfmiddlewaretoken", csrfToken(this.form));
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
        headers: { Accept: "application/json", "HX-Request": "true" },
        redirect: "error",
      });
      if (response.ok) {
        const { saved } = await response.json();
        if (this.unsent === draft) this.unsent = null;
        if (saved) this.basedOn = draft.sequence;
        else this.supersede();
        this.onState(saved ? "saved" : "older", Date.now());
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

  failed() {
    this.onState(this.local === false ? "unkept" : "local", Date.now());
    this.later(RETRY);
  }

  /** Another tab has a newer draft: what is changed here is kept nowhere, and its copy stays. */
  supersede() {
    this.superseded = true;
    this.unsent = null;
    try {
      localStorage.removeItem(this.key);
    } catch {
      // Nothing was kept.
    }
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
    try {
      localStorage.removeItem(this.key);
    } catch {
      // Nothing was kept.
    }
  }
}
