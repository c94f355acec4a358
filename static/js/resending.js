/**
 * A form that nobody could take, because the network or the server was away, is sent again when they
 * are back: where it asks for that by data-resend, for as long as it stands there as it was sent.
 */

const RETRY = 5_000;
const CHANGING = new Set(["csrfmiddlewaretoken", "seconds", "based_on"]); // by themselves

const saidBy = (form) => JSON.stringify([...new FormData(form)].filter(([name]) => !CHANGING.has(name)));
const targetOf = (element) => element.closest("[hx-target]")?.getAttribute("hx-target");

export class Resending {
  /** onChanged(): somebody went on with what was to be sent again, so it waits for them. */
  constructor(onChanged) {
    this.onChanged = onChanged;
    this.sent = null; // the form that was sent last, by which button, and what it said
    this.waiting = null;
    this.timer = null;
    addEventListener("online", () => this.send());
    document.addEventListener("submit", (event) => this.submitted(event), { capture: true });
    document.addEventListener("htmx:before:request", ({ detail }) => this.begins(detail.ctx.sourceElement));
  }

  submitted({ target, submitter }) {
    if (target.matches("form[data-resend]")) this.sent = { form: target, submitter, said: saidBy(target) };
  }

  /** Whatever else is asked for in the place of the form is what its person wants now. */
  begins(element) {
    if (this.waiting && targetOf(element) === targetOf(this.waiting.form)) this.drop();
  }

  /** Whether what `element` could not send will be sent again. */
  takes(element) {
    if (this.sent?.form !== element) return false;
    this.drop();
    if (saidBy(element) !== this.sent.said) return false; // changed while it was under way
    this.waiting = this.sent;
    this.timer = setTimeout(() => this.send(), RETRY);
    return true;
  }

  drop() {
    clearTimeout(this.timer);
    this.waiting = null;
  }

  send() {
    const { waiting } = this;
    this.drop();
    if (!waiting?.form.isConnected) return;
    if (saidBy(waiting.form) === waiting.said) waiting.form.requestSubmit(waiting.submitter);
    else this.onChanged();
  }
}
