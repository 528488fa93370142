// The frame of the page: tabs, the job that runs, notes, keys, and what to say when the server is gone.

import { post } from "./api.js";
import { announce, count, el, isTyping, show } from "./dom.js";
import { ImagesView } from "./images.js";
import { NextView } from "./next.js";
import { follow, onState, refresh, state } from "./state.js";
import { TakeView } from "./take.js";
import { TrainView } from "./train.js";
import { TryView } from "./try.js";

const VIEWS = [
  ["images", "Images", ImagesView],
  ["train", "Train", TrainView],
  ["next", "Label next", NextView],
  ["try", "Try", TryView],
  ["take", "Take away", TakeView],
];
const KEYS = [
  ["1 to 9", "give the chosen images the class of that number; in Label next, the guess"],
  ["0 or Delete", "take the chosen images out"],
  ["U", "undo the last decision; again for the one before"],
  ["arrows, Shift, Ctrl + A, Space, Escape", "move, choose a range, all, one more, none"],
  ["S", "skip, in Label next"],
  ["?", "this list"],
];
const SAY_EVERY = 10_000;

const views = {};
let current = null;
let toldAt = 0;
const dismissed = new Set();

function open(name) {
  const [key, , View] = VIEWS.find(([each]) => each === name) ?? VIEWS[0];
  if (current?.name === key) return;
  current?.view.close?.();
  views[key] ??= new View();
  current = { name: key, view: views[key] };
  show(document.getElementById("view"), current.view.node);
  for (const link of document.querySelectorAll("#tabs a")) {
    if (link.hash === `#${key}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (state) begin(state);
}

function begin(now) {
  current.view.update(now, null);
  current.view.open();
}

function drawJob(now, before) {
  const host = document.getElementById("job");
  const job = now.job;
  host.hidden = job === null || dismissed.has(job.id);
  if (host.hidden) return;
  const running = job.state === "running";
  host.className = job.state;
  const counted = job.total ? `${job.done.toLocaleString("en")} of ${job.total.toLocaleString("en")}` : "";
  const rate = job.rate ? `${job.rate.toFixed(job.rate < 10 ? 1 : 0)} a second` : "";
  const head = running
    ? [job.what || job.title, counted, rate, `${job.seconds.toFixed(0)} s`].filter(Boolean).join(", ")
    : `${job.title}: ${{ done: "done", failed: "failed", cancelled: "cancelled" }[job.state]} (${job.seconds.toFixed(1)} s)`;
  show(host, el("p", { class: "head" }, head),
    running ? el("progress", job.total ? { max: job.total, value: job.done } : {}) : null,
    running ? el("button", { type: "button", disabled: job.cancelling, on: { click: cancel } }, job.cancelling ? "ending…" : "Cancel") : el("button", { type: "button", "aria-label": "Close this message", on: { click: () => { dismissed.add(job.id); host.hidden = true; } } }, "Close"),
    job.message ? el("p", { class: "message" }, job.message) : null,
    job.lines.length ? el("details", {}, el("summary", {}, count(job.lines.length, "note")), el("ul", {}, job.lines.map((line) => el("li", {}, line)))) : null);
  const ended = !running && before?.job?.state === "running";
  if (ended || (running && Date.now() - toldAt > SAY_EVERY)) {
    toldAt = Date.now();
    announce(ended ? `${head}. ${job.message}` : head);
  }
}

function drawNotes(now) {
  const host = document.getElementById("notes");
  const shown = now.notes.filter((note) => !dismissed.has(`note ${note.id}`)).slice(-3);
  const key = shown.map((note) => note.id).join(" ");
  if (host.dataset.key === key) return;
  host.dataset.key = key;
  show(host, shown.map((note) => el("div", { class: `banner ${note.kind}` }, el("span", {}, note.text),
    el("button", { type: "button", "aria-label": "Close this note", on: { click: () => { dismissed.add(`note ${note.id}`); drawNotes(state); } } }, "Close"))));
}

async function cancel() {
  await post("/api/jobs/cancel").catch(() => null);
  await refresh().catch(() => null);
}

async function undo() {
  try {
    const { undone } = await post("/api/undo");
    announce(`undone: ${undone}`);
    await refresh();
    current?.view.undone?.();
  } catch (error) {
    announce(error.message);
  }
}

function tellLost(error) {
  const host = document.getElementById("lost");
  host.hidden = error === null;
  if (error === null) return;
  host.textContent = error.status > 403 ? error.message : error.status === 403
    ? "The server was started again and has a new address: open the one that fc7 app printed, and this window goes on. Every label that was given is kept."
    : "The server does not answer: start it again with fc7 app, and this window goes on. Every label that was given is kept; what was at work goes on with the next Read features or Train.";
}

function help() {
  const dialog = document.getElementById("help");
  show(dialog, el("h2", { id: "help-title" }, "Keys"), el("dl", {}, KEYS.flatMap(([key, what]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, what)])),
    el("form", { method: "dialog" }, el("button", { autofocus: true }, "Close")));
  dialog.showModal();
}

document.addEventListener("keydown", (event) => {
  if (isTyping(event) || document.getElementById("help").open || event.defaultPrevented) return;
  if (event.key === "?") help();
  else if ((event.key === "u" || event.key === "U") && !event.ctrlKey && !event.metaKey && !event.altKey) undo();
  else if (!current?.view.key(event)) return;
  event.preventDefault();
});
// A picture that is dropped beside its place must not take the page's.
for (const type of ["dragover", "drop"]) window.addEventListener(type, (event) => event.preventDefault());

show(document.getElementById("tabs"), VIEWS.map(([key, title]) => el("a", { href: `#${key}` }, title)));
document.getElementById("undo").addEventListener("click", undo);
document.getElementById("keys").addEventListener("click", help);
window.addEventListener("hashchange", () => open(location.hash.slice(1)));
// The token is in the cookie now, and need not stay where people copy addresses from.
history.replaceState(null, "", `/${location.hash}`);
onState((now, before) => {
  const button = document.getElementById("undo");
  button.disabled = now.can_undo === null;
  button.title = now.can_undo ?? "";
  // What had ended before this page was opened is no news.
  if (before === null && now.job && now.job.state !== "running") dismissed.add(now.job.id);
  drawJob(now, before);
  drawNotes(now);
  if (before === null) begin(now);
  else current.view.update(now, before);
});
open(location.hash.slice(1));
follow(tellLost);
