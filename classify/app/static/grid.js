// A grid of images of which only what is seen is in the page: 100,000 are no more work than 100.

import { get, post, thumb, whyNot } from "./api.js";
import { announce, count, el, percent } from "./dom.js";
import { refresh, state } from "./state.js";

const PAGE = 200;
const TILE = 132;
const CAPTION = 38;
const AROUND = 2; // rows beyond what is seen, so that scrolling meets pictures
let number = 0;

export class Grid {
  /**
   * @param {() => string} query the list to show, such as "which=class&class=cat"
   * @param {string} label what a screen reader calls it
   * @param {string} empty what to say where nothing is
   * @param {() => boolean} isUnread whether the list is that of images whose features are not read yet
   */
  constructor(query, label, empty, isUnread = () => false) {
    this.query = query;
    this.isUnread = isUnread;
    this.empty = empty;
    this.total = 0;
    this.items = new Map();
    this.asked = new Set();
    this.selected = new Set();
    this.active = 0;
    this.anchor = 0;
    this.lost = false; // whether the image that the keys were at has left the list
    this.generation = 0;
    this.id = `grid-${(number += 1)}`;
    this.space = el("div", { class: "space" });
    this.host = el("div", {
      class: "grid",
      role: "listbox",
      tabindex: 0,
      "aria-multiselectable": "true",
      "aria-label": label,
      on: {
        scroll: () => this.draw(),
        keydown: (event) => this.key(event),
        focus: () => this.draw(),
      },
    }, this.space);
    this.message = el("p", { class: "empty" });
    this.bar = el("div", { class: "bar", role: "toolbar", "aria-label": "What to do with the chosen images" });
    this.node = el("div", { class: "grid-frame" }, this.bar, this.message, this.host);
    this.watcher = new ResizeObserver(() => this.draw());
    this.watcher.observe(this.host);
  }

  /** Read the list again; the images that are chosen stay chosen if `keep`, wherever they stand then. */
  async load(keep = false) {
    this.generation += 1;
    this.asked.clear();
    if (!keep) {
      this.items.clear();
      this.selected.clear();
      this.active = this.anchor = 0;
      this.lost = false;
      this.host.scrollTop = 0;
    }
    if (!state.n_rows && !this.isUnread()) {
      this.total = 0;
      this.message.textContent = this.empty;
      this.host.hidden = true;
      this.drawBar();
      return;
    }
    await this.fetch(keep ? Math.floor(this.firstSeen() / PAGE) : 0, true);
  }

  async fetch(page, first = false) {
    if (this.asked.has(page)) return;
    this.asked.add(page);
    const generation = this.generation;
    try {
      const found = await get(`/api/images?${this.query()}&offset=${page * PAGE}&limit=${PAGE}`);
      if (generation !== this.generation) return;
      const before = this.items;
      const isSame = this.total === found.total && this.cache === found.cache;
      if (first) this.items = new Map();
      this.total = found.total;
      this.cache = found.cache;
      found.items.forEach((item, i) => this.items.set(page * PAGE + i, item));
      if (first && before.size) this.followImages(before, isSame);
      this.message.textContent = this.total ? "" : this.empty;
      for (const i of [...this.selected]) if (i >= this.total) this.selected.delete(i);
      this.active = Math.max(0, Math.min(this.active, this.total - 1));
    } catch (error) {
      if (generation !== this.generation) return;
      this.total = 0;
      this.message.textContent = error.message;
    }
    this.host.hidden = this.total === 0;
    this.draw();
  }

  /** Places become those of the same images: another window may have moved them, and a key must not meet others. */
  followImages(before, isSame) {
    const places = new Map([...this.items].map(([i, item]) => [item.path, i]));
    const place = (i) => {
      const path = before.get(i)?.path;
      if (places.has(path)) return places.get(path);
      return isSame && !this.items.has(i) ? i : -1; // not looked at now
    };
    this.selected = new Set([...this.selected].map(place).filter((i) => i >= 0));
    const [active, anchor] = [place(this.active), place(this.anchor)];
    this.lost = active < 0;
    if (active >= 0) this.active = active;
    if (anchor >= 0) this.anchor = anchor;
  }

  get columns() {
    return Math.max(1, Math.floor(this.host.clientWidth / TILE));
  }

  firstSeen() {
    return Math.floor(this.host.scrollTop / (TILE + CAPTION)) * this.columns;
  }

  draw() {
    const columns = this.columns;
    const height = TILE + CAPTION;
    const rows = Math.ceil(this.total / columns);
    this.space.style.height = `${rows * height}px`;
    const top = Math.max(0, Math.floor(this.host.scrollTop / height) - AROUND);
    const bottom = Math.min(rows, Math.ceil((this.host.scrollTop + this.host.clientHeight) / height) + AROUND);
    const wanted = new Map();
    for (let i = top * columns; i < Math.min(this.total, bottom * columns); i += 1) wanted.set(i, true);
    for (const tile of [...this.space.children]) {
      const i = Number(tile.dataset.index);
      const item = this.items.get(i);
      if (wanted.has(i) && item && tile.dataset.key === keyOf(item)) {
        this.place(tile, i, columns);
        wanted.delete(i);
      } else tile.remove();
    }
    for (const i of wanted.keys()) {
      const item = this.items.get(i);
      if (item) this.space.append(this.place(this.tile(item, i), i, columns));
      else this.fetch(Math.floor(i / PAGE));
    }
    this.host.setAttribute("aria-activedescendant", `${this.id}-${this.active}`);
    this.drawBar();
  }

  place(tile, i, columns) {
    const width = this.host.clientWidth / columns;
    tile.style.transform = `translate(${(i % columns) * width}px, ${Math.floor(i / columns) * (TILE + CAPTION)}px)`;
    tile.style.width = `${width}px`;
    tile.id = `${this.id}-${i}`;
    tile.setAttribute("aria-selected", String(this.selected.has(i)));
    tile.setAttribute("aria-setsize", String(this.total));
    tile.setAttribute("aria-posinset", String(i + 1));
    tile.classList.toggle("active", i === this.active);
    return tile;
  }

  tile(item, i) {
    const picture = el("img", { src: thumb(item), alt: "", draggable: "false", decoding: "async" });
    picture.addEventListener("error", async () => {
      picture.replaceWith(el("span", { class: "none" }, await whyNot(thumb(item))));
    });
    const label = item.out ? "taken out" : item.label || "no label";
    const caption = [el("strong", {}, label)];
    if (item.suggested && item.suggested !== item.label) {
      const sure = item.p_wrong ?? item.probability;
      caption.push(el("em", {}, `${item.suggested}?${sure === null ? "" : ` ${percent(sure, 0)}`}`));
    } else if (item.original && item.original !== item.label) caption.push(el("em", {}, `was ${item.original}`));
    return el("div", {
      class: item.out ? "tile out" : "tile",
      role: "option",
      title: item.path,
      "aria-label": `${item.path}, ${label}${item.suggested ? `, perhaps ${item.suggested}` : ""}`,
      "data-index": i,
      "data-key": keyOf(item),
      on: { click: (event) => this.choose(i, event) },
    }, el("span", { class: "picture" }, picture), el("span", { class: "caption" }, caption));
  }

  choose(i, { shiftKey = false, ctrlKey = false, metaKey = false } = {}) {
    if (shiftKey) {
      if (!ctrlKey && !metaKey) this.selected.clear();
      for (let j = Math.min(this.anchor, i); j <= Math.max(this.anchor, i); j += 1) this.selected.add(j);
    } else if (ctrlKey || metaKey) {
      if (!this.selected.delete(i)) this.selected.add(i);
      this.anchor = i;
    } else {
      this.selected = new Set([i]);
      this.anchor = i;
    }
    this.active = i;
    this.lost = false;
    this.host.focus({ preventScroll: true });
    this.draw();
  }

  key(event) {
    const columns = this.columns;
    const seen = Math.max(1, Math.floor(this.host.clientHeight / (TILE + CAPTION))) * columns;
    const steps = {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns,
      PageUp: -seen, PageDown: seen, Home: -this.total, End: this.total,
    };
    if (event.key in steps && !event.altKey) {
      event.preventDefault();
      const to = Math.max(0, Math.min(this.total - 1, this.active + steps[event.key]));
      this.lost = false;
      if (event.ctrlKey) this.active = to;
      else this.choose(to, { shiftKey: event.shiftKey });
      this.reveal(to);
      const item = this.items.get(to);
      if (item) announce(`${item.path}, ${item.out ? "taken out" : item.label || "no label"}`);
    } else if (event.key === " ") {
      event.preventDefault();
      this.choose(this.active, { ctrlKey: true });
    } else if (event.key === "a" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.selected = new Set(Array.from({ length: this.total }, (_, i) => i));
      this.draw();
    } else if (event.key === "Escape") {
      this.selected.clear();
      this.draw();
    }
  }

  reveal(i) {
    const height = TILE + CAPTION;
    const top = Math.floor(i / this.columns) * height;
    if (top < this.host.scrollTop) this.host.scrollTop = top;
    else if (top + height > this.host.scrollTop + this.host.clientHeight) {
      this.host.scrollTop = top + height - this.host.clientHeight;
    }
    this.draw();
  }

  drawBar() {
    const n = this.selected.size;
    const key = `${n} ${this.total} ${this.isUnread()} ${state?.classes.map((each) => each.name).join("\n")}`;
    if (this.bar.dataset.key === key) return;
    this.bar.dataset.key = key;
    const text = n ? `${count(n, "image")} chosen` : this.total ? count(this.total, "image") : "";
    const buttons = n === 0 || this.isUnread() ? [] : [
      ...(state?.classes ?? []).map((each, i) => el("button", {
        type: "button", on: { click: () => this.relabel(each.name) },
      }, i < 9 ? el("kbd", {}, String(i + 1)) : null, ` ${each.name}`)),
      el("button", { type: "button", on: { click: () => this.relabel("") } }, el("kbd", {}, "0"), " take out"),
      el("button", { type: "button", on: { click: () => this.relabel(null) } }, "as it was"),
    ];
    this.bar.replaceChildren(el("span", { class: "chosen" }, text), ...buttons);
  }

  /** The label of what is chosen, or else of the image that the keys are at; "" takes out, null takes back. */
  async relabel(label) {
    const chosen = this.selected.size ? [...this.selected].sort((a, b) => a - b) : [this.active];
    if (!this.total || this.isUnread()) return;
    try {
      const rows = await this.rowsOf(chosen);
      const { changed } = await post("/api/labels", { rows, label, cache: this.cache });
      const what = label === null ? "as it was" : label || "taken out";
      announce(`${count(changed, "image")}: ${what}`);
      const next = chosen.length === 1 ? chosen[0] : null;
      this.selected.clear();
      await refresh();
      await this.load(true);
      if (next !== null) {
        this.active = Math.min(next, Math.max(0, this.total - 1));
        this.lost = false;
        this.draw();
      }
    } catch (error) {
      this.message.textContent = error.message;
      await this.load(true);
    }
  }

  /** Rows of places in the list; where some were never scrolled to, all are asked for. */
  async rowsOf(places) {
    if (places.every((i) => this.items.has(i))) return places.map((i) => this.items.get(i).row);
    const found = await get(`/api/rows?${this.query()}`);
    if (found.cache !== this.cache || found.rows.length !== this.total) throw new Error("the list has changed; choose again");
    return places.map((i) => found.rows[i]);
  }

  close() {
    this.watcher.disconnect();
  }
}

const keyOf = (item) => `${item.row} ${item.h} ${item.label} ${item.out} ${item.suggested}`;
