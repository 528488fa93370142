// What every view looks at: the server's state, asked for again whenever it has changed.

import { ask } from "./api.js";

const listeners = new Set();
const PAUSE = 1000;

/** The latest state; null before the first answer. */
export let state = null;

/** @param {(now: object, before: object|null) => void} listener */
export function onState(listener) {
  listeners.add(listener);
  if (state !== null) listener(state, null);
  return () => listeners.delete(listener);
}

/** What the lists of images depend on: as long as this is the same, they need not be read again. */
export function imagesKey(now) {
  return JSON.stringify([
    now.cache, now.unread, now.classes, now.unlabelled, now.taken_out, now.corrections, now.fitted?.round, now.has_suspects,
  ]);
}

function take(now) {
  const before = state;
  state = now;
  for (const listener of [...listeners]) listener(now, before);
}

/** @param {(lost: Error|null) => void} tell is told when the server is gone, and when it is back */
export async function follow(tell) {
  let lost = false;
  for (;;) {
    try {
      const since = state === null || lost ? "" : `?since=${state.version}`;
      const now = await ask("GET", `/api/state${since}`);
      if (lost || state === null) tell(null);
      lost = false;
      if (state === null || now.version !== state.version) take(now);
    } catch (error) {
      lost = true;
      tell(error);
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }
}

/** Look at once, after something that this page itself did. */
export async function refresh() {
  take(await ask("GET", "/api/state"));
}
