/** Pictures of a portrait from the server while somebody edits: one request under way, and the newest wish after it. */

import { posted } from "./posted.mjs";

const ROUTE = "/talking_head/expression";

/**
 * Asks for pictures; `onPicture(image, handles)` gets each, `onProblem(sentence, isGone)` what went wrong.
 *
 * The function it gives takes `{preview, amounts}` or `{preview, keyframes, seconds}`.
 */
export function livePicture(onPicture, onProblem) {
  let waiting = null;
  let busy = false;
  return async (wish) => {
    waiting = wish;
    if (busy) return;
    busy = true;
    while (waiting) {
      const asked = waiting;
      waiting = null;
      try {
        const { picture, handles } = await posted(ROUTE, asked);
        onPicture(await decoded(picture), handles);
      } catch (problem) {
        onProblem(problem.message, problem.isGone === true);
      }
    }
    busy = false;
  };
}

async function decoded(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  return image;
}
