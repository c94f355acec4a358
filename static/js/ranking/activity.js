/** Counts the seconds a person is at it, and keeps the lease while they are. */

const IDLE = 60_000;
const RENEW = 60_000;

export class Activity {
  /** renew() is called at most once a minute, and only while the person is active. */
  constructor(seconds, renew) {
    this.total = seconds * 1000;
    this.renew = renew;
    this.lastSeen = performance.now();
    this.lastTick = this.lastSeen;
    this.lastRenewal = this.lastSeen;
    this.stop = new AbortController();
    const options = { passive: true, signal: this.stop.signal };
    for (const name of ["pointermove", "pointerdown", "keydown", "scroll", "wheel", "touchstart"]) {
      addEventListener(name, () => this.seen(), options);
    }
    document.addEventListener("visibilitychange", () => this.tick(), options);
    this.timer = setInterval(() => this.tick(), 5000);
  }

  seen() {
    this.tick();
    this.lastSeen = performance.now();
    if (this.lastSeen - this.lastRenewal > RENEW) {
      this.lastRenewal = this.lastSeen;
      this.renew();
    }
  }

  /** Add the time since the last tick, as far as it lies within a minute after the last sign of life. */
  tick() {
    const now = performance.now();
    const until = Math.min(now, this.lastSeen + IDLE);
    if (!document.hidden) this.total += Math.max(0, until - this.lastTick);
    this.lastTick = now;
  }

  /** Active seconds so far. */
  get seconds() {
    this.tick();
    return Math.round(this.total / 100) / 10;
  }

  close() {
    clearInterval(this.timer);
    this.stop.abort();
  }
}
