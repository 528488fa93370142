// The view of images: classes at the left, a grid, a place to drop things, the network, and reading features.

import { get, post } from "./api.js";
import { announce, count, el, isTyping, percent, show } from "./dom.js";
import { Grid } from "./grid.js";
import { imagesKey, refresh, state } from "./state.js";
import { Uploads, chosenFiles, droppedFiles } from "./uploads.js";

const ALL = { which: "all", name: "" };
const UNREAD = { which: "unread", name: "" };

export class ImagesView {
  constructor() {
    this.shown = ALL;
    this.network = null;
    this.uploads = new Uploads();
    this.grid = new Grid(() => this.query(), "Images", "", () => this.shown.which === "unread");
    this.side = el("ul", { class: "classes" });
    this.error = el("p", { class: "problem", role: "alert" });
    this.newClass = el("form", { class: "new-class", on: { submit: (event) => this.addClass(event) } },
      el("label", {}, "New class ", el("input", { name: "name", maxlength: 120, autocomplete: "off" })),
      el("button", {}, "Add"));
    this.files = el("input", { type: "file", multiple: true, accept: "image/*,.heic,.jxl,.tif,.tiff", class: "unseen", id: "pick-files" });
    this.folder = el("input", { type: "file", webkitdirectory: true, class: "unseen", id: "pick-folder" });
    for (const input of [this.files, this.folder]) {
      input.addEventListener("change", () => {
        this.uploads.send(chosenFiles(input), input === this.files ? this.target() : null);
        input.value = "";
      });
    }
    this.reading = el("div", { class: "reading" });
    this.failures = el("div", { class: "failures" });
    this.node = el("div", { class: "images" },
      el("aside", { "aria-label": "Classes" }, this.side, this.newClass,
        el("div", { class: "pick" }, el("label", { for: "pick-files", class: "button" }, this.files, "Add images"),
          el("label", { for: "pick-folder", class: "button" }, this.folder, "Add a folder"))),
      el("div", { class: "main" }, this.error, this.uploads.node, this.reading, this.failures, this.grid.node));
    for (const [type, on] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
      this.node.addEventListener(type, (event) => {
        event.preventDefault();
        const target = event.target.closest?.("[data-drop]");
        for (const each of this.node.querySelectorAll(".over")) each.classList.remove("over");
        (target ?? this.node).classList.toggle("over", on);
      });
    }
    this.node.addEventListener("drop", async (event) => {
      const at = event.target.closest?.("[data-drop]");
      await this.uploads.send(await droppedFiles(event.dataTransfer), at ? at.dataset.drop : null);
    });
  }

  query() {
    const { which, name } = this.shown;
    return `which=${which}${which === "class" ? `&class=${encodeURIComponent(name)}` : ""}`;
  }

  /** The class that chosen files go to. */
  target() {
    return this.shown.which === "class" ? this.shown.name : "";
  }

  open() {
    this.grid.load();
  }

  async update(now, before) {
    const shown = this.shown;
    // What is dropped is seen at once; once its features are read it is among all.
    if (!now.n_rows && now.unread && shown === ALL) this.shown = UNREAD;
    if (!now.unread && shown === UNREAD) this.shown = ALL;
    if (before === null || imagesKey(now) !== imagesKey(before)) {
      this.drawSide(now);
      if (before !== null) this.grid.load(shown === this.shown);
    }
    this.drawReading(now);
    this.grid.empty = now.n_rows ? "No images here." : now.unread ? "Until their features are read, images are under Not read yet." : "";
    if (!now.n_rows && this.shown !== UNREAD) this.grid.message.textContent = this.grid.empty;
  }

  drawSide(now) {
    const entry = (shown, text, n, key, drop) => {
      const current = shown.which === this.shown.which && shown.name === this.shown.name;
      return el("li", drop === undefined ? {} : { "data-drop": drop },
        el("button", { type: "button", "aria-current": current ? "true" : null, on: { click: () => this.show(shown) } },
          key ? el("kbd", {}, key) : null, el("span", { class: "name" }, text), el("span", { class: "n" }, n.toLocaleString("en"))));
    };
    show(this.side,
      entry(ALL, "All images", now.n_rows, null),
      now.unread ? entry(UNREAD, "Not read yet", now.unread, null) : null,
      now.classes.map((each, i) => entry({ which: "class", name: each.name }, each.name, each.count, i < 9 ? String(i + 1) : null, each.name)),
      entry({ which: "unlabelled", name: "" }, "No label", now.unlabelled, null, ""),
      entry({ which: "taken_out", name: "" }, "Taken out", now.taken_out, "0"));
    show(this.failures, now.failures ? el("details", { on: { toggle: (event) => this.listFailures(event.target) } },
      el("summary", {}, `${count(now.failures, "image")} could not be read`), el("ul")) : null);
  }

  async listFailures(details) {
    if (!details.open) return;
    const found = await get("/api/failures").catch((error) => [{ path: "", reason: error.message }]);
    show(details.querySelector("ul"), found.slice(0, 500).map((each) => el("li", {}, `${each.path}: ${each.reason}`)));
  }

  show(shown) {
    this.shown = shown;
    this.drawSide(state);
    this.grid.load();
  }

  drawReading(now) {
    const busy = now.job?.state === "running";
    const key = JSON.stringify([now.unread, now.gone, now.in_folder, now.network, busy]);
    if (this.reading.dataset.key === key) return;
    this.reading.dataset.key = key;
    const parts = [];
    if (now.unread) {
      parts.push(el("p", {}, el("strong", {}, `${count(now.unread, "image")} in ${now.images_folder}/ not read yet. `),
        "A network turns each into features, once."));
    }
    if (now.gone) parts.push(el("p", {}, `${count(now.gone, "image")} of ${now.features} not in the folder any more; what is known of them stays.`));
    if (!now.in_folder && !now.n_rows) {
      parts.push(el("p", { class: "start" }, "Drop photographs here: a folder for each class, or images without a label. They are copied into ",
        el("code", {}, `${now.images_folder}/`), " on this machine; nothing leaves it."));
    }
    if (now.unread || (now.in_folder && !now.n_rows)) {
      parts.push(el("button", { type: "button", class: "primary", id: "read", disabled: busy, on: { click: () => this.read() } }, "Read features"));
    }
    if (!now.network && now.in_folder) {
      parts.push(el("details", { class: "networks", on: { toggle: (event) => this.listNetworks(event.target) } },
        el("summary", {}, "Choose the network"), el("div")));
    } else if (now.network) {
      parts.push(el("details", { class: "networks", on: { toggle: (event) => this.listNetworks(event.target) } },
        el("summary", { class: "quiet" }, `Features of ${now.network.name}, layer ${now.network.layer}; another network?`), el("div")));
    }
    show(this.reading, parts);
  }

  async listNetworks(details) {
    if (!details.open) return;
    const host = details.querySelector("div");
    let rows;
    try {
      rows = await get("/api/networks");
    } catch (error) {
      show(host, el("p", { class: "problem" }, error.message));
      return;
    }
    // Features of two networks never mix: another one has files of its own, and the same images and corrections.
    const other = el("p", { role: "status" });
    const isFirst = !state.network;
    const choose = (row) => {
      if (isFirst) this.network = row.name;
      else show(other, ...(row.current ? [] : ["Its features go into a file of their own, beside these: ", el("code", {}, row.call)]));
    };
    const line = (row) => el("tr", {},
      el("td", {}, el("label", {}, el("input", { type: "radio", name: "network", value: row.name, checked: row.current,
        on: { change: () => choose(row) } }), ` ${row.name}`)),
      el("td", {}, row.trained === false ? "random weights" : row.top1 === null ? "not known" : percent(row.top1 / 100)),
      el("td", {}, row.megabytes === null ? "" : `${row.megabytes.toFixed(0)} MB`),
      el("td", {}, row.speed === null ? "not measured" : `${row.speed.toFixed(0)} a second`),
      el("td", {}, row.here || row.installed ? "here" : row.package ? `pip install ${row.package}` : row.trained ? "is fetched" : "is built"),
      el("td", {}, row.licence ?? ""));
    show(host, other, el("div", { class: "wide" }, el("table", {},
      el("thead", {}, el("tr", {}, ["Network", "ImageNet accuracy", "Size", "Images here", "Where", "Licence"].map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, rows.map(line)))));
  }

  async read() {
    this.error.textContent = "";
    try {
      await post("/api/jobs/extract", { network: this.network });
      await refresh();
    } catch (error) {
      this.error.textContent = error.message;
    }
  }

  async addClass(event) {
    event.preventDefault();
    const input = this.newClass.elements.name;
    this.error.textContent = "";
    try {
      const { name } = await post("/api/classes", { name: input.value });
      input.value = "";
      announce(`class ${name} added`);
      await refresh();
    } catch (error) {
      this.error.textContent = error.message;
    }
  }

  key(event) {
    return !isTyping(event) && relabelKey(event, this.grid);
  }
}

/** 1 to 9 for the classes in their order, 0 or Delete to take out. */
export function relabelKey(event, grid) {
  if (event.ctrlKey || event.metaKey || event.altKey || grid.total === 0) return false;
  // A key that was meant for nothing must not relabel an image that nobody looks at.
  if (grid.selected.size === 0 && (grid.lost || document.activeElement !== grid.host)) return false;
  if (event.key >= "1" && event.key <= "9") {
    const found = state.classes[Number(event.key) - 1];
    if (found) grid.relabel(found.name);
    return Boolean(found);
  }
  if (event.key === "0" || event.key === "Delete") {
    grid.relabel("");
    return true;
  }
  return false;
}
