// The queue of images to label next, one at a time, and the guesses that are sure enough to be taken.

import { get, photo, post, whyNot } from "./api.js";
import { announce, count, el, isTyping, percent, show } from "./dom.js";
import { refresh, state } from "./state.js";

const LENGTH = 50;

export class NextView {
  constructor() {
    this.items = [];
    this.at = 0;
    this.card = el("section", { class: "card", "aria-label": "Image to label" });
    this.error = el("p", { class: "problem", role: "alert" });
    this.slider = el("input", { type: "range", min: 50, max: 99.9, step: 0.1, value: 98, id: "above" });
    this.slider.addEventListener("input", () => this.drawSlider());
    this.slider.addEventListener("change", () => this.lookSure());
    this.sureText = el("output", { for: "above" });
    this.sureBox = el("div", { class: "sure" });
    this.names = el("datalist", { id: "class-names" });
    this.node = el("div", { class: "next" }, el("h2", {}, "Label next"), this.error, this.card,
      el("section", { class: "accept" }, el("h2", {}, "Take guesses"),
        el("label", { for: "above" }, "Where the classifier is at least this sure: "), this.slider, this.sureText, this.sureBox), this.names);
  }

  open() {
    this.load();
    this.lookSure();
  }

  async update(now, before) {
    if (before === null || now.classes.length !== before.classes.length) {
      show(this.names, now.classes.map((each) => el("option", { value: each.name })));
    }
    if (before !== null && (now.cache !== before.cache || now.fitted?.round !== before.fitted?.round)) this.open();
  }

  async load() {
    if (!state.n_rows) {
      show(this.card, el("p", { class: "empty" }, "First bring images and read their features."));
      return;
    }
    show(this.card, el("p", { class: "empty" }, "choosing images…"));
    try {
      const found = await get(`/api/queue?n=${LENGTH}`);
      this.items = found.items;
      this.cache = found.cache;
      this.by = found.by;
      this.notes = found.notes;
      this.at = 0;
      this.draw();
    } catch (error) {
      show(this.card, el("p", { class: "empty" }, error.message));
    }
  }

  draw() {
    const item = this.items[this.at];
    if (!item) {
      const text = this.items.length ? "This queue is done. " : "No image lacks a label. ";
      show(this.card, el("p", { class: "empty" }, text, ...this.notes ?? []),
        this.items.length ? el("button", { type: "button", on: { click: () => this.load() } }, "Choose more") : null);
      return;
    }
    const picture = el("img", { src: photo(item), alt: `image ${item.path}`, class: "large" });
    picture.addEventListener("error", async () => picture.replaceWith(el("p", { class: "none" }, await whyNot(photo(item)))));
    const other = el("input", { name: "label", list: "class-names", autocomplete: "off", maxlength: 120, "aria-label": "Another class" });
    show(this.card,
      el("p", { class: "quiet" }, `${this.at + 1} of ${this.items.length}; chosen by ${this.by || "how they differ"}`),
      el("div", { class: "labelling" }, picture, el("div", { class: "guesses" },
        item.guesses.map((each, i) => el("button", { type: "button", on: { click: () => this.give(each.label) } },
          el("kbd", {}, String(i + 1)), ` ${each.label} `, el("span", { class: "n" }, percent(each.probability, 0)))),
        el("form", { on: { submit: (event) => { event.preventDefault(); if (other.value.trim()) this.give(other.value.trim()); } } }, other, el("button", {}, "Label")),
        el("button", { type: "button", on: { click: () => this.skip() } }, el("kbd", {}, "S"), " skip"),
        el("button", { type: "button", on: { click: () => this.give("") } }, el("kbd", {}, "0"), " take out"))));
    announce(`image ${this.at + 1} of ${this.items.length}${item.guesses[0] ? `, perhaps ${item.guesses[0].label}` : ""}`);
  }

  skip() {
    this.at += 1;
    this.draw();
  }

  async give(label) {
    const item = this.items[this.at];
    if (!item || this.busy) return;
    this.busy = true;
    this.error.textContent = "";
    try {
      await post("/api/labels", { rows: [item.row], label, cache: this.cache });
      this.busy = false;
      this.at += 1;
      this.draw();
      await refresh();
    } catch (error) {
      this.error.textContent = error.message;
      if (error.status === 409) this.load();
    } finally {
      this.busy = false;
    }
  }

  drawSlider() {
    this.sureText.textContent = ` ${Number(this.slider.value).toFixed(1)} %`;
  }

  async lookSure() {
    this.drawSlider();
    const above = Number(this.slider.value) / 100;
    if (!state.fitted) {
      show(this.sureBox, el("p", { class: "empty" }, "First train a classifier."));
      return;
    }
    try {
      const found = await get(`/api/confident?above=${above}`);
      const known = found.held_out;
      const text = known
        ? `Of ${count(known.n, "held-out image")} where it was as sure, ${known.right} were right: ${percent(known.precision)} (95 % interval ${percent(known.low)} to ${percent(known.high)}).`
        : "It was as sure of no held-out image, so nobody knows how often that is right.";
      show(this.sureBox, el("p", {}, text), el("button", { type: "button", id: "accept", disabled: !known || found.n === 0,
        on: { click: () => this.accept(above) } }, `Accept ${count(found.n, "guess", "guesses")} above ${percent(above)}`));
    } catch (error) {
      show(this.sureBox, el("p", { class: "empty" }, error.message));
    }
  }

  async accept(above) {
    try {
      const { changed } = await post("/api/accept", { above, cache: this.cache });
      announce(`${count(changed, "guess", "guesses")} accepted; U undoes it`);
      await refresh();
      this.open();
    } catch (error) {
      this.error.textContent = error.message;
    }
  }

  undone() {
    if (this.at > 0) this.at -= 1;
    this.draw();
    this.lookSure();
  }

  key(event) {
    if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return false;
    const item = this.items[this.at];
    if (!item) return false;
    if (event.key === "s" || event.key === "S") this.skip();
    else if (event.key === "0" || event.key === "Delete") this.give("");
    else if (event.key >= "1" && event.key <= "5" && item.guesses[Number(event.key) - 1]) this.give(item.guesses[Number(event.key) - 1].label);
    else return false;
    return true;
  }
}
