/**
 * Which key does what. Letters that stand for a completion keep that meaning: the action is then on
 * Shift and the letter. A person can change the keys; they are kept in this browser.
 */

const FIRST = {
  flags: "f",
  prompt: "p",
  compare: "v",
  written: "m",
  better: "w",
  none: "n",
  comment: "t",
  skip: "s",
  guidelines: "g",
  break: "z",
  undo: "u",
  dismiss: "x",
};
const FIXED = ["=", "?", "؟", " ", "-"];
const KEPT = "rankloop:keys";
const OFF = "rankloop:keys-off";

function stored() {
  try {
    const found = JSON.parse(localStorage.getItem(KEPT)) ?? {};
    return Object.fromEntries(
      Object.entries(found).filter(([name, key]) => name in FIRST && typeof key === "string"),
    );
  } catch {
    return {};
  }
}

function switchedOff() {
  try {
    return localStorage.getItem(OFF) !== null;
  } catch {
    return false;
  }
}

/** The key in lower case; on a keyboard of another script the Latin letter or digit at its place. */
export function keyOf(event) {
  if (event.key.length > 1) return event.key;
  if (event.key === "؟") return "?";
  const latin = /^(?:Key([A-Z])|Digit(\d))$/.exec(event.code ?? "");
  const foreign = latin && !/^[\u0020-\u007e]$/.test(event.key);
  return (foreign ? (latin[1] ?? latin[2]) : event.key).toLowerCase();
}

export class Keys {
  constructor() {
    this.map = { ...FIRST, ...stored() };
    this.switchedOn = !switchedOff();
    this.completions = new Set();
  }

  get on() {
    return this.switchedOn;
  }

  set on(value) {
    this.switchedOn = value;
    try {
      if (value) localStorage.removeItem(OFF);
      else localStorage.setItem(OFF, "1");
    } catch {
      // Storage is full or shut: it holds until the page goes.
    }
  }

  /** The name of the action that this press stands for, or undefined. */
  action(event) {
    const key = keyOf(event);
    if (this.completions.has(key) && !event.shiftKey) return undefined;
    return Object.keys(this.map).find((name) => this.map[name] === key);
  }

  /** How the key of an action is written. */
  shown(name) {
    const key = this.map[name];
    return this.completions.has(key) ? `⇧ ${key.toUpperCase()}` : key;
  }

  /** Give `name` another key; false if another action has it, or if it is no key for an action. */
  change(name, key) {
    const wanted = key.toLowerCase();
    const taken = Object.keys(this.map).some((other) => other !== name && this.map[other] === wanted);
    if (wanted.length !== 1 || FIXED.includes(wanted) || /\d/.test(wanted) || taken) return false;
    this.map[name] = wanted;
    try {
      localStorage.setItem(KEPT, JSON.stringify(this.map));
    } catch {
      // Storage is full or shut: it holds until the page goes.
    }
    return true;
  }

  reset() {
    this.map = { ...FIRST };
    try {
      localStorage.removeItem(KEPT);
    } catch {
      // Nothing was kept.
    }
  }

  /** Write the keys into the page: <kbd data-key="skip">, <button data-change="skip">. */
  label(root) {
    for (const place of root.querySelectorAll("[data-key]")) {
      place.textContent = this.shown(place.dataset.key);
    }
    for (const place of root.querySelectorAll("[data-change]")) {
      place.textContent = this.shown(place.dataset.change);
    }
  }
}

/** The dialog that lists the keys, where they are changed or switched off. */
export function openable(dialog, keys, words) {
  const on = dialog.querySelector("#keys-on");
  const problem = dialog.querySelector("#keys-problem");
  on.checked = keys.on;
  on.addEventListener("change", () => {
    keys.on = on.checked;
  });
  dialog.querySelector("#keys-reset").addEventListener("click", () => {
    keys.reset();
    keys.label(document);
    problem.textContent = "";
  });
  for (const button of dialog.querySelectorAll("[data-change]")) {
    button.addEventListener("click", () => {
      problem.textContent = words.keyPress;
    });
    button.addEventListener("keydown", (event) => {
      if (event.key.length !== 1 || event.key === " " || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      const changed = keys.change(button.dataset.change, keyOf(event));
      problem.textContent = changed ? "" : words.keyTaken.replace("{key}", event.key);
      keys.label(document);
    });
  }
}
