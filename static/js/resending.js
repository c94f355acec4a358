/**
 * A form that nobody could take, because the network or the server was away, is sent again when they
 * are back: where it asks for that by data-resend, for as long as it stands there as it was sent.
 */

const RETRY = 5_000;
const CHANGING = new Set(["csrfmiddlewaretoken", "seconds"]); // by themselves

const saidBy = (form) => JSON.stringify([...new FormData(form)].filter(([name]) => !CHANGING.has(name)));

/** onChanged(): somebody went on with what was to be sent again, so it waits for them. */
export class Resending {
  constructor(onChanged) {
    this.onChanged = onChanged;
    this.waiting = null;
    this.timer = null;
    this.last = null; // the form that was sent last, and by which button
    addEventListener("online", () => this.send());
    document.addEventListener("submit", (event) => this.submitted(event), { capture: true });
  }

  submitted({ target, submitter }) {
    this.drop();
    this.last = { form: target, submitter };
  }

  /** Whether what `element` could not send will be sent again. */
  takes(element) {
    const form = element.closest("form[data-resend]");
    this.drop();
    if (!form) return false;
    const submitter = this.last?.form === form ? this.last.submitter : null;
    this.waiting = { form, submitter, said: saidBy(form) };
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
