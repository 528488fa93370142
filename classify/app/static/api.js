// The one way to the server: every request carries the token, every failure becomes a sentence.

const token = document.querySelector('meta[name="fc7-token"]').content;

export class AskError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/**
 * @param {"GET"|"POST"|"PUT"} method
 * @param {string} path
 * @param {object|Blob} [body] an object goes as JSON, a file as it is
 * @param {AbortSignal} [signal]
 */
export async function ask(method, path, body, signal) {
  const raw = body instanceof Blob;
  const sent = body === undefined ? undefined : raw ? body : JSON.stringify(body);
  let answer;
  try {
    answer = await fetch(path, { method, body: sent, headers: { "X-FC7-Token": token }, signal, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new AskError("the server does not answer", 0);
  }
  const found = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
  if (!answer.ok) throw new AskError(found.error ?? `the server answered ${answer.status}`, answer.status);
  return found;
}

export const get = (path, signal) => ask("GET", path, undefined, signal);
export const post = (path, body = {}) => ask("POST", path, body);

export const thumb = (item) => `/api/thumb/${item.row}?h=${item.h}`;
export const photo = (item) => `/api/photo/${item.row}?h=${item.h}`;

/** Why there is no picture. */
export async function whyNot(address) {
  try {
    await get(address);
    return "";
  } catch (error) {
    return error.message;
  }
}
