/** Video Combine shows GIF and WebP as the pictures they are. */

import { app } from "../../scripts/app.js";

app.registerExtension({
  name: "TalkingHead.VideoPreview",
  nodeCreated(node) {
    // Nodes 2.0 takes all that a node with a VIDEO input shows for a video, unless the node says that it is none;
    // a result that is marked as a video stays one.
    if (node.comfyClass === "VideoCombine") node.previewMediaType = "image";
  },
});
