/** Render to File and Speak Live show frames while they work; the video takes their place once it is there. */

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { addPanel, element, removePanel } from "./canvas_panel.mjs";

const KINDS = ["RenderToFile", "SpeakLive"];
const HEIGHT = 220;
const RUN_ENDS = ["execution_success", "execution_error", "execution_interrupted"];

const panels = new Map(); // by node: what it shows while it works

/** The node that the server calls so, such as "8:5" for node 5 in the subgraph of node 8; none in another graph. */
function nodeCalled(id) {
  let [graph, node] = [app.rootGraph ?? app.graph, null];
  for (const part of String(id).split(":")) {
    node = graph?.getNodeById(part) ?? graph?.getNodeById(Number(part));
    graph = node?.subgraph;
  }
  return KINDS.includes(node?.comfyClass) ? node : null;
}

function panelOf(node) {
  if (!panels.has(node)) {
    const image = element("img", { width: "100%", height: "100%", minHeight: `${HEIGHT}px`, objectFit: "contain" });
    image.dataset.talkingHead = "frame";
    panels.set(node, { image, size: [...node.size], widget: addPanel(node, "live_frame", image, HEIGHT) });
  }
  return panels.get(node);
}

function close(node) {
  const panel = panels.get(node);
  if (!panel) return;
  panels.delete(node);
  removePanel(node, panel.widget);
  node.setSize?.(panel.size);
}

app.registerExtension({
  name: "TalkingHead.LiveFrames",
  setup() {
    api.addEventListener("talking_head.frame", ({ detail }) => {
      const node = nodeCalled(detail.node);
      if (node) panelOf(node).image.src = detail.picture;
    });
    api.addEventListener("executed", ({ detail }) => close(nodeCalled(detail.node)));
    for (const end of RUN_ENDS) api.addEventListener(end, () => [...panels.keys()].forEach(close));
  },
});
