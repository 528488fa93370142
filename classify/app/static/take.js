// What is taken away: one card a file.

import { get, post } from "./api.js";
import { el, show } from "./dom.js";
import { refresh } from "./state.js";

const CARDS = [
  ["classifier", "classifier.onnx", "The classifier, for fc7 classify on any machine that has the network."],
  ["full", "full.onnx", "Network and classifier in one file: images in, labels out, in any ONNX engine."],
  ["report", "report.html", "All that is known of it, in one page to send around."],
  ["card", "MODEL_CARD.md", "What it is, what it learned from and how good it is, in one text."],
  ["predictions", "predictions.csv", "What it says of every image that was read."],
  ["browser", "web", "A folder with a page that runs it in any browser, offline; it needs the npm package onnxruntime-web."],
];

export class TakeView {
  constructor() {
    this.error = el("p", { class: "problem", role: "alert" });
    this.cards = el("ul", { class: "cards" });
    this.node = el("div", { class: "take" }, el("h2", {}, "Take away"), this.error, this.cards);
    this.made = [];
  }

  open() {
    this.load();
  }

  async update(now, before) {
    this.now = now;
    const ended = before?.job?.kind === "export" && before.job.state === "running" && now.job?.state !== "running";
    if (ended) await this.load();
    else this.draw();
  }

  async load() {
    this.made = await get("/api/exports").catch(() => []);
    this.draw();
  }

  draw() {
    const busy = this.now?.job?.state === "running";
    const key = JSON.stringify([busy, this.now?.fitted !== null, this.made]);
    if (this.cards.dataset.key === key) return;
    this.cards.dataset.key = key;
    show(this.cards, CARDS.map(([what, name, about]) => {
      const made = this.made.find((each) => each.what === what);
      return el("li", {}, el("h3", {}, name), el("p", {}, about),
        el("button", { type: "button", disabled: busy || !this.now?.fitted, "aria-label": `${made ? "Make again" : "Make"} ${name}`,
          on: { click: () => this.make(what) } }, made ? "Make again" : "Make"),
        made && made.size === null ? el("p", { class: "quiet" }, `in the folder ${name}, beside the other files`) : null,
        made && made.size !== null ? el("a", { href: `/api/exports/${made.number}`, download: name, class: "button" }, `Save (${size(made.size)})`) : null);
    }), this.now?.fitted ? null : el("li", {}, el("p", { class: "empty" }, "Train a classifier first.")));
  }

  async make(what) {
    this.error.textContent = "";
    try {
      await post("/api/export", { what });
      await refresh();
    } catch (error) {
      this.error.textContent = error.message;
    }
  }

  key() {
    return false;
  }
}

const size = (bytes) => (bytes < 1e5 ? `${(bytes / 1e3).toFixed(0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);
