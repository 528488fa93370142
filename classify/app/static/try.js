// One picture: dropped, pasted, chosen or from a camera; what the classifier says of it, and why.

import { ask, post, thumb } from "./api.js";
import { bar, occlusionCanvas } from "./charts.js";
import { announce, el, percent, show } from "./dom.js";
import { droppedFiles } from "./uploads.js";

export class TryView {
  constructor() {
    this.stream = null;
    this.error = el("p", { class: "problem", role: "alert" });
    this.file = el("input", { type: "file", accept: "image/*,.heic,.jxl,.tif,.tiff", class: "unseen", id: "try-file" });
    this.file.addEventListener("change", () => { if (this.file.files[0]) this.send(this.file.files[0]); this.file.value = ""; });
    this.camera = el("div", { class: "camera" });
    this.answer = el("div", { class: "answer" });
    this.node = el("div", { class: "try" }, el("h2", {}, "Try"),
      el("div", { class: "dropzone" }, el("p", {}, "Drop a picture here, or paste one."),
        el("label", { for: "try-file", class: "button" }, this.file, "Choose a file"),
        el("button", { type: "button", on: { click: () => this.openCamera() } }, "Camera")),
      this.camera, this.error, this.answer);
    this.node.addEventListener("dragover", (event) => event.preventDefault());
    this.node.addEventListener("drop", async (event) => {
      event.preventDefault();
      const [first] = await droppedFiles(event.dataTransfer);
      if (first) this.send(first.file);
    });
    this.paste = (event) => {
      const file = [...(event.clipboardData?.files ?? [])][0];
      if (file) this.send(file);
    };
  }

  open() {
    document.addEventListener("paste", this.paste);
  }

  close() {
    document.removeEventListener("paste", this.paste);
    this.closeCamera();
  }

  update() {}

  async send(file) {
    this.error.textContent = "";
    try {
      this.draw(await ask("POST", `/api/try?name=${encodeURIComponent(file.name ?? "picture")}`, file));
    } catch (error) {
      show(this.answer);
      this.error.textContent = error.message;
    }
  }

  draw(found) {
    const picture = el("img", { src: `/api/try/${found.id}/photo`, alt: "the picture that is tried", class: "large" });
    const frame = el("div", { class: "frame" }, picture);
    const legend = el("p", { class: "quiet" });
    const where = el("button", { type: "button", on: { click: () => this.look(found, frame, picture, legend, where) } }, "Where it looks");
    const unlike = found.novelty === null ? "" : found.novel
      ? `Unlike the images of training (${found.novelty.toFixed(2)}, above 1): the answer may mean nothing.`
      : `Like the images of training (${found.novelty.toFixed(2)}, below 1).`;
    show(this.answer, frame, el("div", { class: "said" },
      el("ol", { class: "bars" }, found.top.map((each) => el("li", {}, el("span", { class: "name" }, each.label),
        bar(each.probability, `${each.label} ${percent(each.probability)}`), el("span", { class: "n" }, percent(each.probability))))),
      found.rejected ? el("p", { class: "stale" }, "Too unsure: the classifier's threshold rejects it.") : null,
      el("p", { class: found.novel ? "stale" : "quiet" }, unlike), where, legend,
      el("h3", {}, "Nearest images"), el("ul", { class: "near" }, found.neighbours.map((each) => el("li", { title: each.path },
        el("img", { src: thumb(each), alt: each.path }), el("span", {}, each.label || "no label"), el("span", { class: "n" }, each.cosine.toFixed(2)))))));
    announce(`${found.top[0].label}, ${percent(found.top[0].probability)}`);
  }

  async look(found, frame, picture, legend, button) {
    button.disabled = true;
    try {
      const map = await post(`/api/try/${found.id}/occlusion`);
      const most = Math.max(...map.drop.flat());
      const at = map.drop.flat().indexOf(most);
      const place = `row ${Math.floor(at / map.columns) + 1} of ${map.rows}, column ${(at % map.columns) + 1} of ${map.columns}`;
      frame.querySelector("canvas")?.remove();
      frame.append(occlusionCanvas(map, picture.clientWidth, picture.clientHeight));
      legend.textContent = most > 0.005
        ? `The redder a part, the less probable ${map.label} (${percent(map.base)}) becomes when it is covered: by at most ${percent(most)}, at ${place}.`
        : `No single part matters: covering any leaves ${map.label} about as probable.`;
    } catch (error) {
      this.error.textContent = error.message;
    } finally {
      button.disabled = false;
    }
  }

  async openCamera() {
    this.error.textContent = "";
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video: true });
    } catch (error) {
      this.error.textContent = `no camera: ${error.message}`;
      return;
    }
    const video = el("video", { autoplay: true, playsinline: true, muted: true });
    video.srcObject = this.stream;
    show(this.camera, video,
      el("button", { type: "button", on: { click: () => this.shoot(video) } }, "Take the picture"),
      el("button", { type: "button", on: { click: () => this.closeCamera() } }, "Close"));
  }

  shoot(video) {
    const canvas = el("canvas", { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => this.send(blob), "image/png");
  }

  closeCamera() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    show(this.camera);
  }

  key() {
    return false;
  }
}
