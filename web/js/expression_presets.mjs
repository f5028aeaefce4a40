/** Expressions by name: a few of ours, and those that the user saves as JSON in ComfyUI's user folder. */

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { choiceOf, element, textButton } from "./canvas_panel.mjs";
import { say } from "./words.mjs";

const FOLDER = "talking_head/expressions";
const OURS = {
  smile: { smile: 0.7, eee: 3, eyebrow: 2, blink: -2 },
  laugh: { smile: 1, aaa: 55, eee: 5, eyebrow: 5, blink: -6 },
  surprise: { aaa: 50, woo: 4, eyebrow: 13, blink: 4 },
  doubt: { eyebrow: -7, left_lid: 0.2, right_lid: 0.2, smile: -0.2, rotate_roll: 4 },
  sad: { smile: -0.3, eyebrow: -4, pupil_y: -8, rotate_pitch: 6 },
  wink: { wink: 20, smile: 0.4, rotate_roll: -3 },
  kiss: { woo: 12, blink: -10 },
  asleep: { blink: -18, rotate_pitch: 8, aaa: 6 },
};

/**
 * A row to choose, save and delete expressions.
 *
 * @param read gives where the sliders stand
 * @param apply puts them elsewhere
 */
export function presetRow({ read, apply }) {
  let saved = [];
  const choice = choiceOf(say("Expressions"), [], { flex: "1 1 90px" });
  const save = textButton(say("Save…"), say("Save this expression in ComfyUI's user folder"), saveAs);
  const remove = textButton(say("Delete"), say("Delete the saved expression that is chosen"), deleteChosen);
  const reset = textButton(say("Reset"), say("Put every slider to 0"), () => {
    choice.value = "";
    apply({});
  });
  choice.addEventListener("change", load);
  choice.addEventListener("pointerdown", list);

  function fill(value = "") {
    const groups = [
      ["saved", saved],
      ["built in", Object.keys(OURS)],
    ].filter(([, names]) => names.length);
    choice.replaceChildren(
      new Option(say("expressions …"), ""),
      ...groups.map(([label, names]) => optionGroup(label, names)),
    );
    choice.value = value;
  }

  function optionGroup(label, names) {
    const group = document.createElement("optgroup");
    group.label = say(label);
    group.append(...names.map((name) => new Option(label === "saved" ? name : say(name), `${label}/${name}`)));
    return group;
  }

  async function list() {
    const files = await api.listUserDataFullInfo(FOLDER).catch(() => []);
    const names = files
      .map(({ path }) => path)
      .filter((path) => path.endsWith(".json"))
      .map((path) => path.slice(0, -5));
    if (names.join() === saved.join()) return;
    saved = names;
    fill(choice.value);
  }

  async function load() {
    const [kind, name] = split(choice.value);
    if (!name) return;
    if (kind === "built in") return apply(OURS[name]);
    const reply = await api.getUserData(fileOf(name));
    const amounts = await reply.json().catch(() => null);
    if (reply.ok && amounts && typeof amounts === "object") apply(amounts);
    else warn(`${say("This expression could not be read:")} ${name}`);
  }

  async function saveAs() {
    const given = await app.extensionManager.dialog.prompt({
      title: say("Save expression"),
      message: say("Name of the expression:"),
    });
    const name = given?.replace(/[^\p{L}\p{N} _-]/gu, "").trim();
    if (!name) return;
    await api
      .storeUserData(fileOf(name), read(), { overwrite: true, stringify: true, throwOnError: true })
      .catch((problem) => warn(problem.message));
    await list();
    fill(`saved/${name}`);
  }

  async function deleteChosen() {
    const [kind, name] = split(choice.value);
    if (kind !== "saved") return;
    await api.deleteUserData(fileOf(name));
    await list();
    fill();
  }

  fill();
  list();
  return element("div", { display: "flex", gap: "4px", alignItems: "center" }, choice, save, remove, reset);
}

const fileOf = (name) => `${FOLDER}/${name}.json`;
const split = (value) => [value.slice(0, value.indexOf("/")), value.slice(value.indexOf("/") + 1)];
const warn = (detail) =>
  app.extensionManager.toast.add({ severity: "warn", summary: "Talking Head", detail, life: 6000 });
