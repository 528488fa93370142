"use strict";
// The feature map: a point under the pointer, or chosen by arrow keys, shows its image and what is said of it.
const map = document.querySelector(".map");
if (map) {
  const drawing = map.querySelector("svg");
  const points = [...drawing.querySelectorAll("use[data-path]")];
  const fromLeft = [...points].sort((a, b) => a.x.baseVal.value - b.x.baseVal.value);
  const panel = map.querySelector(".chosen");
  const picture = new Image();
  picture.hidden = true;
  picture.alt = "";  // what it shows stands beside it
  panel.prepend(picture);
  let chosen = null;

  function show(point) {
    if (chosen) chosen.classList.remove("on");
    chosen = point;
    point.classList.add("on");
    picture.hidden = !point.dataset.picture;
    if (point.dataset.picture) picture.src = point.dataset.picture;
    panel.querySelector(".said").textContent = point.dataset.said;
    panel.querySelector(".file").textContent = point.dataset.path;
  }

  drawing.addEventListener("pointerover", (event) => {
    if (event.target.dataset.path) show(event.target);
  });
  drawing.addEventListener("focus", () => show(chosen || fromLeft[0]));
  drawing.addEventListener("keydown", (event) => {
    const shown = fromLeft.filter((point) => !point.classList.contains("dim"));
    const here = shown.indexOf(chosen);
    const next = {
      ArrowRight: here + 1, ArrowDown: here + 1, ArrowLeft: Math.max(here, 1) - 1,
      ArrowUp: Math.max(here, 1) - 1, Home: 0, End: shown.length - 1,
    }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    show(shown[Math.min(next, shown.length - 1)]);
  });
  for (const button of map.querySelectorAll("button[data-class]")) {
    button.addEventListener("click", () => {
      const pressed = button.getAttribute("aria-pressed") !== "true";
      for (const other of map.querySelectorAll("button[data-class]")) {
        other.setAttribute("aria-pressed", String(pressed && other === button));
      }
      for (const point of points) {
        point.classList.toggle("dim", pressed && point.dataset.class !== button.dataset.class);
      }
    });
  }
}
