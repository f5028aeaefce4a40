/**
 * Nodes that show a video show the frames they draw in a panel while they work: the page takes ComfyUI's own previews
 * for the video, which then does not play.
 */

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { addPanel, element, removePanel } from "./canvas_panel.mjs";

const KINDS = ["DubVideo", "RenderToFile", "SpeakLive"];
const HEIGHT = 220;

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
    const size = [...node.size];
    panels.set(node, { image, size, widget: addPanel(node, "live_frame", image, HEIGHT) });
    node.setSize?.([size[0], node.size[1]]); // no wider than it was: it gets this size back
  }
  return panels.get(node);
}

function close(node) {
  const panel = panels.get(node);
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
    // The next node begins, or at a run's end none. Not every node that ends is told of by `executed`.
    api.addEventListener("executing", ({ detail }) => {
      for (const node of panels.keys()) if (detail === null || node !== nodeCalled(detail)) close(node);
    });
  },
});
