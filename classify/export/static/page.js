// A picture to the five most probable labels, in the browser: nothing is sent anywhere.

import * as ort from "./ort.wasm.min.mjs";
import { decoded, prepared } from "./picture.js";

const said = document.getElementById("said");
const shown = document.getElementById("shown");
const file = document.getElementById("file");

ort.env.wasm.wasmPaths = new URL("./", import.meta.url).href;
// Threads need two headers that a plain file server does not send (COOP and COEP).
ort.env.wasm.numThreads = 1;

const settings = await (await fetch("./settings.json")).json();
const { preprocessing: spec, classes } = settings;
document.getElementById("about").textContent = `${classes.length} classes, features of ${settings.network}.`;
let session;
try {
  session = await ort.InferenceSession.create("./full.onnx", { executionProviders: ["wasm"] });
  said.textContent = "Drop a picture, or choose one.";
  file.disabled = false;
} catch (error) {
  said.textContent = `The network could not be opened: ${error.message}. The page has to come from a server, as python -m http.server is one.`;
}

/** Label and probability of every class, the most probable first. */
export async function classify(picture) {
  const views = prepared(picture, spec);
  const rows = settings.batch ?? spec.crops;
  const data = new Uint8Array((views.length / spec.crops) * rows);
  for (let at = 0; at < data.length; at += views.length) data.set(views.subarray(0, Math.min(views.length, data.length - at)), at);
  const images = new ort.Tensor("uint8", data, [rows, spec.crop_height, spec.crop_width, 3]);
  const found = await session.run({ images });
  const probabilities = [...found.probabilities.data].slice(0, classes.length);
  return {
    rejected: Boolean(found.rejected.data[0]),
    isNovel: Boolean(found.novelty && found.novelty.data[0] > 1),
    ranking: probabilities.map((probability, i) => ({ label: classes[i], probability })).sort((a, b) => b.probability - a.probability),
  };
}

async function open(chosen) {
  said.textContent = "…";
  try {
    shown.src = URL.createObjectURL(chosen);
    const { rejected, isNovel, ranking } = await classify(await decoded(chosen));
    const list = document.createElement("ol");
    for (const each of ranking.slice(0, 5)) {
      const line = document.createElement("li");
      const bar = document.createElement("meter");
      bar.value = each.probability;
      line.append(`${each.label} ${(100 * each.probability).toFixed(1)} % `, bar);
      list.append(line);
    }
    const unsure = rejected ? [`Too unsure: ${settings.rejected_label}. `] : [];
    const unlike = isNovel ? ["Unlike the images of training: the label means little."] : [];
    said.replaceChildren(...unsure, ...unlike, list);
  } catch (error) {
    said.textContent = `That is no picture that this browser reads: ${error.message}`;
  }
}

// One picture after the other: the labels that stand there are those of the picture beside them.
let work = Promise.resolve();
const take = (chosen) => { if (chosen) work = work.then(() => open(chosen)); };

file.addEventListener("change", () => take(file.files[0]));
window.addEventListener("dragover", (event) => event.preventDefault());
window.addEventListener("drop", (event) => {
  event.preventDefault();
  take(event.dataTransfer.files[0]);
});
