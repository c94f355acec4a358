/**
 * Keeps a ranking under way: at once in this browser, a moment later on the server.
 * Knows nothing of how a ranking is shown.
 */

import { csrfToken } from "./csrf.js";

const DELAY = 500;

export class Draft {
  /**
   * root carries data-draft-url, data-slate and data-labeler; form carries the CSRF token and the lease.
   * onState is called with "saved", "local" or "older", and the time in milliseconds.
   */
  constructor(root, form, onState) {
    this.url = root.dataset.draftUrl;
    this.key = `rankloop:draft:${root.dataset.labeler}:${root.dataset.slate}`;
    this.form = form;
    this.onState = onState;
    this.sequence = 0;
    this.waiting = null;
    this.unsent = null;
    this.sending = false;
    this.closed = false;
  }

  /** The newer of what the server and what this browser kept, or null. */
  load(fromServer) {
    let local = null;
    try {
      local = JSON.parse(localStorage.getItem(this.key));
    } catch {
      // Storage that is full, shut or broken is as good as empty.
    }
    const kept = [fromServer, local].filter((draft) => Number.isFinite(draft?.sequence));
    const newest = kept.sort((a, b) => b.sequence - a.sequence)[0] ?? null;
    this.sequence = newest?.sequence ?? 0;
    return newest;
  }

  /** Keep `content` now; send it when nothing more happened for half a second. */
  keep(content) {
    if (this.closed) return;
    this.sequence = Math.max(Date.now(), this.sequence + 1);
    this.unsent = { sequence: this.sequence, content };
    try {
      localStorage.setItem(this.key, JSON.stringify(this.unsent));
    } catch {
      // The server's copy is the one that counts.
    }
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.send(), DELAY);
  }

  body({ sequence, content }) {
    const body = new FormData();
    body.set("csrfmiddlewaretoken", csrfToken(this.form));
    body.set("lease", this.form.elements.lease.value);
    body.set("sequence", sequence);
    body.set("content", JSON.stringify(content));
    return body;
  }

  /** Send what is unsent. A failure is told, and tried again with the next change. */
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
        this.onState(saved ? "saved" : "older", Date.now());
      } else {
        this.onState("local", Date.now());
      }
    } catch {
      this.onState("local", Date.now());
    } finally {
      this.sending = false;
    }
    if (this.unsent && this.unsent !== draft) this.send();
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
  }

  /** It was submitted: no draft is needed any more. */
  forget() {
    clearTimeout(this.waiting);
    this.closed = true;
    try {
      localStorage.removeItem(this.key);
    } catch {
      // Nothing was kept.
    }
  }
}
