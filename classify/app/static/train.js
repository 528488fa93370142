// The view of training: one button, how good it is, and what went wrong, to be corrected on the spot.

import { get, post } from "./api.js";
import { bar, roundsChart } from "./charts.js";
import { count, el, isTyping, percent, show } from "./dom.js";
import { Grid } from "./grid.js";
import { relabelKey } from "./images.js";
import { imagesKey, refresh } from "./state.js";

export class TrainView {
  constructor() {
    this.list = "which=mistakes";
    this.error = el("p", { class: "problem", role: "alert" });
    this.button = el("button", { class: "primary", id: "train" }, "Train");
    this.form = el("form", { class: "train-form", on: { submit: (event) => this.train(event) } }, this.button,
      el("details", {}, el("summary", {}, "How"),
        el("label", {}, "Classifier ", el("select", { name: "head" },
          el("option", { value: "svm" }, "linear SVM"), el("option", { value: "softmax" }, "softmax"),
          el("option", { value: "auto" }, "the better of the two"))),
        el("label", {}, "C ", el("input", { name: "C", type: "number", min: 0, step: "any", placeholder: "found by cross-validation" })),
        el("label", {}, "Test set, % ", el("input", { name: "test", type: "number", min: 5, max: 90, value: 30 })),
        el("label", {}, "Seed of the split ", el("input", { name: "seed", type: "number", min: 0, step: 1, value: 0 }))));
    this.stale = el("p", { class: "stale", role: "status" });
    this.result = el("div", { class: "result" });
    this.picker = el("div", { class: "picker", role: "group", "aria-label": "Which images" });
    this.grid = new Grid(() => this.list, "Images to look at", "Nothing here.");
    this.looking = el("section", { class: "look", hidden: true }, el("h2", {}, "Look at them, and correct"), this.picker, this.grid.node);
    this.node = el("div", { class: "train" }, el("h2", {}, "Train"), this.form, this.error, this.stale, this.result, this.looking);
    this.title = "";
  }

  open() {
    this.draw();
  }

  async update(now, before) {
    this.button.disabled = now.job?.state === "running" || now.n_rows === 0;
    if (before?.looking && !now.looking) this.draw();
    this.button.textContent = now.fitted ? "Train again" : "Train";
    const since = now.fitted?.since ?? 0;
    this.stale.textContent = since ? `${count(since, "label")} changed since this training; train again to use them.`
      : now.problem ? now.problem : "";
    this.now = now;
    if (before !== null && imagesKey(now) !== imagesKey(before)) await this.draw(true);
    else if (before?.job?.state !== now.job?.state && now.fitted) this.drawPicker(now);
  }

  async draw(keep = false) {
    const now = this.now;
    if (!now) return;
    if (!now.fitted) {
      const why = now.looking ? "looking at the held-out images…" : now.n_rows === 0 ? "First bring images and read their features." : "Two classes with a few images each are needed.";
      show(this.result, el("p", { class: "empty" }, why));
      this.looking.hidden = true;
      return;
    }
    let fit;
    try {
      fit = await get("/api/fit");
    } catch (error) {
      show(this.result, el("p", { class: "problem" }, error.message));
      return;
    }
    show(this.result, this.summary(fit, now.rounds), this.recall(fit), this.confusion(fit));
    this.drawPicker(now);
    this.looking.hidden = false;
    this.grid.load(keep);
  }

  summary(fit, rounds) {
    const lines = rounds.map((each) => el("tr", {}, el("td", {}, String(each.n)), el("td", {}, percent(each.accuracy)),
      el("td", {}, `${percent(each.low)} to ${percent(each.high)}`), el("td", {}, String(each.n_test)), el("td", {}, String(each.n_corrections))));
    return el("section", { class: "summary" },
      el("p", { class: "accuracy" }, el("strong", { id: "accuracy" }, percent(fit.accuracy)),
        ` of ${fit.n_test} images that it has not seen are right`),
      el("p", {}, `95 % interval ${percent(fit.low)} to ${percent(fit.high)}; learned from ${count(fit.n_train, "image")}; always the largest class would be right for ${percent(fit.largest_class)}.`),
      rounds.length ? el("figure", {}, roundsChart(rounds), el("figcaption", {}, el("details", {}, el("summary", {}, `${count(rounds.length, "round")} so far`),
        el("div", { class: "wide" }, el("table", {}, el("thead", {}, el("tr", {}, ["Round", "Accuracy", "95 % interval", "Tested on", "Corrections"].map((name) => el("th", { scope: "col" }, name)))),
          el("tbody", {}, lines)))))) : null);
  }

  recall(fit) {
    return el("section", {}, el("h3", {}, "Found of each class"), el("ul", { class: "bars" }, fit.recall.map((each) => {
      const text = each.recall === null ? "no test image" : `${percent(each.recall, 0)} of ${each.n}`;
      return el("li", {}, el("span", { class: "name" }, each.class), bar(each.recall ?? 0, `${each.class}: ${text}`), el("span", { class: "n" }, text));
    })));
  }

  confusion(fit) {
    const most = Math.max(1, ...fit.confusion.flat());
    const cell = (i, j, n) => {
      if (n === 0) return el("td", {}, "");
      const [truth, guess] = [fit.classes[i], fit.classes[j]];
      const button = el("button", { type: "button", class: i === j ? "right" : "wrong", "aria-label": `${count(n, "image")} of ${truth} taken for ${guess}`,
        on: { click: () => this.pick(`which=cell&true=${encodeURIComponent(truth)}&predicted=${encodeURIComponent(guess)}`, `${truth} taken for ${guess}`) } }, String(n));
      button.style.opacity = String(0.55 + (0.45 * n) / most);
      return el("td", {}, button);
    };
    return el("section", {}, el("h3", {}, "What was taken for what"), el("p", { class: "quiet" }, "A row is a true class, a column what the classifier said; each number opens its images."),
      el("div", { class: "wide" }, el("table", { class: "confusion" },
        el("thead", {}, el("tr", {}, el("td"), fit.classes.map((name) => el("th", { scope: "col" }, el("span", {}, name))))),
        el("tbody", {}, fit.confusion.map((row, i) => el("tr", {}, el("th", { scope: "row" }, fit.classes[i]), row.map((n, j) => cell(i, j, n))))))));
  }

  drawPicker(now) {
    const choice = (list, text) => el("button", { type: "button", "aria-pressed": String(this.list === list), on: { click: () => this.pick(list, "") } }, text);
    show(this.picker, choice("which=mistakes", "Surest mistakes"),
      now.has_suspects ? choice("which=suspects", "Suspects among all labels") : null,
      el("button", { type: "button", disabled: now.job?.state === "running", on: { click: () => this.search() } }, now.has_suspects ? "Look for suspects again" : "Look for suspects among all labels"),
      this.title ? el("span", { class: "title" }, this.title) : null);
  }

  pick(list, title) {
    this.list = list;
    this.title = title;
    this.drawPicker(this.now);
    this.grid.load();
    this.looking.scrollIntoView({ block: "start" });
  }

  async search() {
    await this.begin("/api/jobs/suspects", {});
    this.list = "which=suspects";
    this.title = "";
  }

  async train(event) {
    event.preventDefault();
    const given = this.form.elements;
    await this.begin("/api/jobs/fit", {
      head: given.head.value, C: given.C.value === "" ? null : Number(given.C.value),
      test_size: Number(given.test.value) / 100, seed: Number(given.seed.value),
    });
  }

  async begin(path, body) {
    this.error.textContent = "";
    try {
      await post(path, body);
      await refresh();
    } catch (error) {
      this.error.textContent = error.message;
    }
  }

  key(event) {
    return !isTyping(event) && !this.looking.hidden && relabelKey(event, this.grid);
  }
}
