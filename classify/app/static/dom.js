// Elements as calls. Text comes in as text alone, so that no name of a file or class is ever markup.

/**
 * @param {string} tag
 * @param {object} [given] attributes; `on` holds listeners, `class` the classes; false and null are left out
 * @param {...(Node|string|null)} children
 */
export function el(tag, given = {}, ...children) {
  return filled(document.createElement(tag), given, children);
}

export function svg(tag, given = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), given, children);
}

function filled(node, given, children) {
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else if (name === "value" || name === "checked" || name === "disabled" || name === "hidden") {
      node[name] = value;
    } else {
      node.setAttribute(name, value === true ? "" : String(value));
    }
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

export function show(host, ...children) {
  host.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
}

let last = "";

/** Tell who listens instead of looking. */
export function announce(text) {
  if (text === last) return;
  last = text;
  document.getElementById("live").textContent = text;
}

export const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;

export const count = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

/** Whether a key is meant for a field that takes text. */
export function isTyping(event) {
  const at = event.target;
  return at instanceof HTMLElement && (at.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName));
}
