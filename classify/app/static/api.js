// The one way to the server: every request carries the token, every failure becomes a sentence.

let token = tokenIn(document);

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
  const send = () => sending(path, { method, body: sent, headers: { "X-FC7-Token": token }, signal, cache: "no-store" });
  let answer = await send();
  // A server that was started again has another token, which its page knows once it was opened in this browser.
  if (answer.status === 403 && await isRenewed()) answer = await send();
  const found = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
  if (!answer.ok) throw new AskError(found.error ?? `the server answered ${answer.status}`, answer.status);
  return found;
}

async function sending(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new AskError("the server does not answer", 0);
  }
}

async function isRenewed() {
  const answer = await sending("/", { cache: "no-store" });
  if (!answer.ok) return false;
  const found = tokenIn(new DOMParser().parseFromString(await answer.text(), "text/html"));
  const isNew = found !== token;
  token = found;
  return isNew;
}

function tokenIn(page) {
  return page.querySelector('meta[name="fc7-token"]').content;
}

export const get = (path, signal) => ask("GET", path, undefined, signal);
export const post = (path, body = {}) => ask("POST", path, body);

export const thumb = (item) => (item.unread ? `/api/unread/${item.row}` : `/api/thumb/${item.row}?h=${item.h}`);
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
