/** Video Combine shows GIF and WebP as the pictures they are. */

import { app } from "../../scripts/app.js";
import { onShown, removePanel } from "./canvas_panel.mjs";

app.registerExtension({
  name: "TalkingHead.VideoPreview",
  nodeCreated(node) {
    if (node.comfyClass !== "VideoCombine") return;
    // Nodes 2.0 takes all that a node with a VIDEO input shows for a video, unless the node says that it is none, and
    // the page writes "video" here once one was shown, for good. A result that is marked as a video stays one.
    Object.defineProperty(node, "previewMediaType", { get: () => "image", set: () => {}, configurable: true });
    onShown(node, (output) => {
      if (!isVideo(output)) removePlayer(node);
    });
  },
});

/** Whether the page plays a result as a video. */
function isVideo({ images = [], animated = [] }) {
  return animated.some(Boolean) && !images.some(({ filename }) => filename.endsWith(".webp"));
}

/** Takes out the classic page's player of an earlier video: where there is one, it plays whatever comes. */
function removePlayer(node) {
  const player = node.widgets?.find((widget) => widget.name === "video-preview");
  if (!player) return;
  removePanel(node, player);
  node.videoContainer = undefined;
}
