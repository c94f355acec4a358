/**
 * The list of places at the side: chips that are dragged, tapped or moved by arrow keys.
 * It shows an order and reports the order that the person made of it; it keeps none itself.
 */

/* global Sortable */

function element(tag, className, attributes = {}) {
  const made = document.createElement(tag);
  made.className = className;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

export class Panel {
  /**
   * root: the element to fill. letters: {id: letter}. words: sentences with {…} to fill in.
   * on: {move(id, target), tap(id)}, target is {gap: index}, {place: index} or "tray".
   */
  constructor(root, letters, words, on) {
    this.root = root;
    this.letters = letters;
    this.words = words;
    this.on = on;
    this.selected = null;
    this.sortables = [];
    this.root.addEventListener("click", (event) => this.clicked(event));
  }

  show(order, tieNext) {
    const focused = this.root.contains(document.activeElement)
      ? document.activeElement.dataset.id
      : undefined;
    if (this.selected && !order.some((place) => place.includes(this.selected))) this.selected = null;
    for (const sortable of this.sortables) sortable.destroy();
    const placed = new Set(order.flat());
    const list = element("ol", "places");
    list.append(this.gap(0, order.length === 0));
    order.forEach((place, index) => {
      list.append(this.place(place, index), this.gap(index + 1));
    });
    const tray = element("div", "tray", { "data-tray": "", "aria-label": this.words.tray, role: "group" });
    const left = Object.keys(this.letters).filter((id) => !placed.has(id));
    left.sort((a, b) => this.letters[a].localeCompare(this.letters[b]));
    tray.append(...left.map((id) => this.chip(id, 0)));
    if (left.length === 0) tray.append(element("span", "tray-note muted small"));
    list.classList.toggle("tie-next", tieNext);
    this.root.classList.toggle("choosing", this.selected !== null);
    this.root.replaceChildren(list, tray);
    this.makeSortable();
    if (focused) this.focus(focused);
  }

  /** Let go of the chip that is selected; its id, or null where there was none. */
  release() {
    const was = this.selected;
    this.selected = null;
    return was;
  }

  focus(id) {
    this.root.querySelector(`[data-id="${CSS.escape(id)}"]`)?.focus({ preventScroll: true });
  }

  gap(index, only = false) {
    const gap = element("li", only ? "gap only" : "gap", { "data-gap": index });
    if (this.selected) {
      const button = element("button", "gap-button", { type: "button" });
      button.setAttribute("aria-label", this.words.gap.replace("{place}", index + 1));
      gap.append(button);
    } else if (only) {
      gap.textContent = this.words.none;
    } else {
      gap.setAttribute("aria-hidden", "true");
    }
    return gap;
  }

  place(ids, index) {
    const item = element("li", "place", { "data-place": index });
    const number = element(this.selected ? "button" : "span", "place-number");
    if (this.selected) {
      number.type = "button";
      number.setAttribute("aria-label", this.words.join.replace("{place}", index + 1));
    }
    number.textContent = index + 1;
    const chips = element("span", "chips");
    ids.forEach((id, at) => {
      if (at > 0) chips.append(Object.assign(element("span", "tie-sign"), { textContent: "=" }));
      chips.append(this.chip(id, index + 1));
    });
    item.append(number, chips);
    return item;
  }

  /** place: its number, or 0 for one that has none yet. */
  chip(id, place) {
    const chip = element("button", "chip", { type: "button", "data-id": id });
    chip.textContent = this.letters[id];
    if (place) chip.setAttribute("aria-pressed", String(this.selected === id));
    const word = place ? this.words.chip : this.words.trayChip;
    chip.setAttribute(
      "aria-label",
      word.replace("{letter}", this.letters[id]).replace("{place}", place),
    );
    return chip;
  }

  clicked(event) {
    const chip = event.target.closest(".chip");
    const place = event.target.closest("[data-place]");
    const gap = event.target.closest("[data-gap]");
    const tray = event.target.closest("[data-tray]");
    if (chip && tray) {
      this.selected = null;
      this.on.tap(chip.dataset.id);
    } else if (this.selected && (!chip || chip.dataset.id !== this.selected)) {
      const id = this.selected;
      this.selected = null;
      if (gap) this.on.move(id, { gap: Number(gap.dataset.gap) });
      else if (place) this.on.move(id, { place: Number(place.dataset.place) });
      else if (tray) this.on.move(id, "tray");
    } else if (chip) {
      this.selected = this.selected ? null : chip.dataset.id;
      this.on.move(null, null);
    }
  }

  makeSortable() {
    const options = {
      group: "ranks",
      draggable: ".chip",
      animation: 0,
      delay: 120,
      delayOnTouchOnly: true,
      ghostClass: "chip-ghost",
      onStart: () => this.root.classList.add("dragging"),
      onEnd: (event) => this.dropped(event),
    };
    const places = this.root.querySelectorAll(".gap, .chips, .tray");
    this.sortables = [...places].map((place) => Sortable.create(place, options));
  }

  dropped(event) {
    this.root.classList.remove("dragging");
    const id = event.item.dataset.id;
    const gap = event.to.closest("[data-gap]");
    const place = event.to.closest("[data-place]");
    this.selected = null;
    if (gap) this.on.move(id, { gap: Number(gap.dataset.gap) });
    else if (place) this.on.move(id, { place: Number(place.dataset.place) });
    else this.on.move(id, "tray");
  }

  close() {
    for (const sortable of this.sortables) sortable.destroy();
    this.sortables = [];
  }
}
