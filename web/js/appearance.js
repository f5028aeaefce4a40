/** Link colours of our types, the settings page, and notices that are shown once. */

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { sayNotice } from "./words.mjs";

const TYPES = {
  PORTRAIT: "#e8a87c",
  MOTION: "#5ad1a4",
  STYLE: "#b28dff",
  SPEAKER: "#ff8fa3",
  TALKER_OPTIONS: "#7fb3ff",
};
const NOTICES = "TalkingHead.Notices";
const SEEN = "TalkingHead.SeenNotices"; // hidden: sentences that the user has been shown

async function notify({ severity, summary, detail }) {
  const { setting, toast } = app.extensionManager;
  const seen = setting.get(SEEN) ?? [];
  if (setting.get(NOTICES) === false || seen.includes(detail)) return;
  toast.add({ severity, summary: `Talking Head: ${sayNotice(summary)}`, detail: sayNotice(detail), life: 12000 });
  await setting.set(SEEN, [...seen, detail]);
}

/** Gives a type its colour; the page's palettes, which come later and blank types they do not know, may give another. */
function giveColour(table, type, colour) {
  let chosen = "";
  Object.defineProperty(table, type, {
    configurable: true,
    enumerable: true,
    get: () => chosen || colour,
    set: (value) => {
      chosen = value;
    },
  });
}

app.registerExtension({
  name: "TalkingHead.Appearance",
  settings: [
    {
      id: "TalkingHead.LivePicture",
      name: "Live portrait in Expression Edit",
      tooltip: "The server draws the portrait again while sliders move. Off: only runs draw it.",
      category: ["Talking Head", "Editor", "Live portrait"],
      type: "boolean",
      defaultValue: true,
    },
    {
      id: NOTICES,
      name: "Notices about renderers and licences",
      tooltip: "Tells once which renderer and generator auto takes and why, and the licence of their weights.",
      category: ["Talking Head", "Notices", "Show"],
      type: "boolean",
      defaultValue: true,
    },
    { id: SEEN, name: "Notices that were shown", type: "hidden", defaultValue: [] },
  ],
  commands: [
    {
      id: "TalkingHead.ForgetNotices",
      label: "Talking Head: show notices again",
      icon: "pi pi-bell",
      function: () => app.extensionManager.setting.set(SEEN, []),
    },
  ],
  setup() {
    for (const table of [LGraphCanvas.link_type_colors, app.canvas.default_connection_color_byType])
      for (const [type, colour] of Object.entries(TYPES)) giveColour(table, type, colour);
    const variables = Object.entries(TYPES).map(([type, colour]) => `--color-datatype-${type}: ${colour};`);
    document.head.append(
      Object.assign(document.createElement("style"), { textContent: `:root { ${variables.join(" ")} }` }),
    );
    api.addEventListener("talking_head.notice", ({ detail }) => notify(detail));
  },
});
