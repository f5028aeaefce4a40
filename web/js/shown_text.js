/** Nodes that say something after a run show it as text to select and copy: a report, where a file is. */

import { app } from "../../scripts/app.js";
import { addPanel, element, onShown } from "./canvas_panel.mjs";

const HEIGHTS = { Doctor: 320, SaveMotion: 56, SaveStyle: 56, SaveSpeaker: 56, VideoCombine: 56, RenderToFile: 56 };

function addText(node, height) {
  const area = element("textarea", { height: "100%", width: "100%", minHeight: `${height}px`, fontSize: "12px" });
  Object.assign(area, { className: "comfy-multiline-input", readOnly: true });
  area.dataset.talkingHead = "text";
  addPanel(node, "shown_text", area, height);
  return area;
}

app.registerExtension({
  name: "TalkingHead.ShownText",
  nodeCreated(node) {
    const height = HEIGHTS[node.comfyClass];
    if (!height) return;
    let area = null;
    onShown(node, ({ text }) => {
      if (!text && !area) return; // videos that browsers play are shown without a text
      area ??= addText(node, height);
      area.value = (text ?? []).join("\n");
    });
  },
});
