// Files and folders that are dropped or chosen: to the server, a few at a time, each refusal with its reason.

import { ask } from "./api.js";
import { announce, count, el, show } from "./dom.js";
import { refresh } from "./state.js";

const AT_ONCE = 4;
const LIMIT = 64 * 1024 * 1024;

/** @typedef {{file: File, folders: string[]}} Dropped a file and the folders that it was dropped in */

/** Everything that was dropped, folders and all below them. */
export async function droppedFiles(transfer) {
  // Entries are there only until the first pause.
  const entries = [...transfer.items].filter((item) => item.kind === "file").map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile());
  const found = [];
  const walk = async (entry, folders) => {
    if (entry instanceof File) found.push({ file: entry, folders });
    else if (entry.isFile) found.push({ file: await new Promise((done, fail) => entry.file(done, fail)), folders });
    else {
      const reader = entry.createReader();
      for (;;) {
        const some = await new Promise((done, fail) => reader.readEntries(done, fail));
        if (!some.length) break;
        for (const each of some) await walk(each, [...folders, entry.name]);
      }
    }
  };
  for (const entry of entries) if (entry) await walk(entry, []);
  return found;
}

/** Of a folder chooser; the first folder is the chosen one. */
export function chosenFiles(input) {
  return [...input.files].map((file) => ({ file, folders: (file.webkitRelativePath || "").split("/").slice(0, -1) }));
}

/**
 * The class of a dropped file: where it was dropped; else the folder around it, unless every file is in that one.
 * @param {Dropped} each
 * @param {string|null} label null where the drop was at no class
 * @param {Dropped[]} all
 */
function classOf(each, label, all) {
  if (label !== null) return label;
  const tops = new Set(all.map((other) => other.folders[0]));
  const deeper = all.some((other) => other.folders.length > 1);
  const folders = tops.size === 1 && deeper ? each.folders.slice(1) : each.folders;
  return folders.at(-1) ?? "";
}

export class Uploads {
  constructor() {
    this.node = el("div", { class: "uploads", hidden: true });
    this.refused = [];
    this.done = this.total = this.saved = 0;
  }

  /** @param {Dropped[]} files @param {string|null} label */
  async send(files, label) {
    const some = files.filter((each) => !each.file.name.startsWith("."));
    if (!some.length) return;
    if (this.done === this.total) {
      this.done = this.total = this.saved = 0;
      this.refused = [];
    }
    this.total += some.length;
    const waiting = some.map((each) => ({ file: each.file, label: classOf(each, label, some) }));
    this.draw();
    const worker = async () => {
      for (let each = waiting.shift(); each; each = waiting.shift()) {
        await this.one(each);
        this.done += 1;
        this.draw();
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    announce(`${count(this.saved, "image")} added, ${this.refused.length} refused`);
    await refresh().catch(() => null);
  }

  async one({ file, label }) {
    let why = file.size > LIMIT ? "larger than 64 MB" : "";
    for (let tries = 0; !why; tries += 1) {
      try {
        const kept = await ask("PUT", `/api/upload?class=${encodeURIComponent(label)}&name=${encodeURIComponent(file.name)}`, file);
        if (kept.saved) this.saved += 1;
        else why = kept.reason;
        break;
      } catch (error) {
        // A server that is started again takes what is left; a file that was moved away cannot be read.
        if (error.status !== 0 || tries > 2) why = error.message;
        else await new Promise((done) => setTimeout(done, 1000));
      }
    }
    if (why) this.refused.push(`${file.name}: ${why}`);
  }

  draw() {
    this.node.hidden = this.total === 0;
    const text = this.done < this.total
      ? `adding images: ${this.done} of ${this.total}`
      : `${count(this.saved, "image")} added${this.refused.length ? `, ${this.refused.length} not` : ""}`;
    const shown = this.refused.slice(0, 200);
    const close = el("button", { type: "button", on: { click: () => { this.node.hidden = true; } } }, "Close");
    show(this.node, el("p", {}, text, " ", this.done < this.total ? null : close),
      shown.length ? el("details", { open: true }, el("summary", {}, `${this.refused.length} not added`),
        el("ul", {}, shown.map((each) => el("li", {}, each)))) : null);
  }
}
