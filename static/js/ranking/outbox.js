/**
 * Submissions on their way: kept in this browser until the server has said what became of them, and
 * sent again when the network, the server or the session is back. Sent twice they are stored once.
 * What the server will never take stays here, with its reason, until the person lets go of it.
 */

import { heedSession } from "./session.js";
import { isAnothers, signedBody, signedHeaders } from "../signed.js";

const RETRY = 5_000;

export class Outbox {
  /**
   * labeler: whose. form(): a form with the CSRF token of now. gone: the reason where the server
   * gives none. on: {changed(entries), taken(entry, answer), refused(entry, answer), signedOut(why)};
   * why: the server's sentence where somebody else is signed in.
   */
  constructor(labeler, form, gone, on) {
    this.labeler = labeler;
    this.gone = gone;
    this.key = `rankloop:outbox:${labeler}`;
    this.form = form;
    this.on = on;
    this.running = null;
    this.timer = null;
    addEventListener("online", () => this.send());
    document.addEventListener("visibilitychange", () => this.send());
  }

  get entries() {
    try {
      const found = JSON.parse(localStorage.getItem(this.key));
      return Array.isArray(found) ? found : [];
    } catch {
      return [];
    }
  }

  set entries(entries) {
    if (entries.length > 0) localStorage.setItem(this.key, JSON.stringify(entries));
    else localStorage.removeItem(this.key);
  }

  /** Those that are still to be sent, of the project at this address. */
  underWay(project) {
    return this.entries.filter((entry) => !entry.stuck && entry.project === project);
  }

  /** Take a submission: {url, slate, project, fields}. False if this browser can't keep it. */
  put(entry) {
    const id = `${Date.now()}-${Math.random().toString(36).slice(2)}`;
    try {
      this.entries = [...this.entries, { ...entry, id }];
    } catch {
      return false;
    }
    this.send();
    return true;
  }

  remove(id) {
    this.entries = this.entries.filter((other) => other.id !== id);
    this.on.changed(this.entries);
  }

  /** Send what there is; resolved when all have been tried once. */
  send() {
    clearTimeout(this.timer);
    this.running ??= this.sendAll().finally(() => {
      this.running = null;
      this.on.changed(this.entries);
      if (this.entries.some((entry) => !entry.stuck)) {
        this.timer = setTimeout(() => this.send(), RETRY);
      }
    });
    return this.running;
  }

  async sendAll() {
    const tried = new Set();
    const next = () => this.entries.find((entry) => !entry.stuck && !tried.has(entry.id));
    for (let entry = next(); entry; entry = next()) {
      tried.add(entry.id);
      if (!(await this.post(entry))) return;
    }
  }

  /** Send one; whether it makes sense to go on with the next. */
  async post(entry) {
    const body = signedBody(this.form());
    for (const [name, value] of entry.fields) body.append(name, value);
    let response;
    try {
      response = await fetch(entry.url, {
        method: "POST",
        body,
        headers: signedHeaders({ Accept: "application/json" }),
        redirect: "error",
      });
    } catch {
      return false; // no network: the others would not get through either
    }
    const answer = await response.json().catch(() => null);
    const anothers = isAnothers(response);
    if (response.status === 401) {
      heedSession(!anothers);
      this.on.signedOut(anothers ? answer.message : "");
      return false;
    }
    if (response.ok) {
      // A network that wants a sign-in of its own says yes to everything, and knows of nothing.
      if (answer?.open === undefined) return false;
      heedSession(false);
      this.remove(entry.id);
      this.on.taken(entry, answer);
    } else if (response.status === 409 || (response.status === 400 && answer?.code)) {
      if (answer?.kept) this.remove(entry.id);
      else this.keepStuck(entry, answer?.message);
      this.on.refused(entry, answer);
    } else if (response.status === 404 || response.status === 410) {
      this.keepStuck(entry, answer?.message);
    }
    return true;
  }

  keepStuck(entry, reason) {
    const stuck = reason || this.gone;
    this.entries = this.entries.map((other) => (other.id === entry.id ? { ...other, stuck } : other));
    this.on.changed(this.entries);
  }
}
