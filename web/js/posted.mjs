/** What the pack's own routes answer. */

import { api } from "../../scripts/api.js";

/** The answer to JSON posted to a route; a refusal is thrown as an Error, `isGone` for what is not kept any more. */
export async function posted(route, content) {
  const headers = { "Content-Type": "application/json" };
  const reply = await api.fetchApi(route, { method: "POST", headers, body: JSON.stringify(content) });
  const answer = await reply.json().catch(() => ({}));
  if (reply.ok) return answer;
  throw Object.assign(new Error(answer.error ?? `The server answered ${reply.status}.`), { isGone: reply.status === 404 });
}
