/** LoadPortrait shows the faces it found, with numbers, landmarks and the crop; a click chooses another one. */

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { addPanel, COLOURS, drawHint, drawnCanvas, element, onShown, pointerPlace } from "./canvas_panel.mjs";
import { onChanged, setWidget, widgetNamed } from "./sliders.mjs";
import { say } from "./words.mjs";

const SHOWN = "talking_head_faces";
const HEIGHT = 240;

function addChooser(node) {
  const index = widgetNamed(node, "face_index");
  let shown = null;
  let image = null;

  const { canvas, redraw } = drawnCanvas(draw, { height: "100%", minHeight: `${HEIGHT}px`, cursor: "pointer" });
  canvas.title = say("Click a face to choose it for the next run.");
  const panel = element("div", { height: "100%", width: "100%" }, canvas);
  panel.dataset.talkingHead = "faces";
  addPanel(node, "faces", panel, HEIGHT);

  /** Where the picture lies in the panel, and the panel's pixels to one of the picture's. */
  function frame(width, height) {
    const scale = Math.min(width / shown.width, height / shown.height);
    return { scale, left: (width - shown.width * scale) / 2, top: (height - shown.height * scale) / 2 };
  }

  function draw(context, width, height) {
    if (!image) {
      drawHint(context, width, height, say("Run the workflow:\nthe faces appear here, a click chooses one."));
      return;
    }
    const { scale, left, top } = frame(width, height);
    context.fillStyle = COLOURS.back;
    context.fillRect(0, 0, width, height);
    context.drawImage(image, left, top, shown.width * scale, shown.height * scale);
    context.save();
    context.translate(left, top);
    drawCrop(context, shown.crop, scale);
    for (const face of shown.faces) drawFace(context, face, scale, face.index === Number(index.value));
    context.restore();
    if (shown.chosen !== Number(index.value)) drawNote(context, height, say("Run again for this face."));
  }

  canvas.addEventListener("pointerdown", (event) => {
    event.stopPropagation();
    if (!shown) return;
    const { scale, left, top } = frame(canvas.offsetWidth, canvas.offsetHeight);
    const place = pointerPlace(canvas, event);
    const [x, y] = [(place.x - left) / scale, (place.y - top) / scale];
    const face = shown.faces.find(({ box }) => box[0] <= x && x <= box[2] && box[1] <= y && y <= box[3]);
    if (face) setWidget(index, face.index);
  });

  onChanged([index], redraw);
  onShown(node, (output) => {
    if (!output[SHOWN]?.[0]) return;
    [shown] = output[SHOWN];
    const loaded = new Image();
    loaded.onload = () => {
      image = loaded;
      redraw();
    };
    loaded.src = api.apiURL(`/view?${new URLSearchParams(shown.picture)}`);
  });
}

function drawCrop(context, corners, scale) {
  context.strokeStyle = COLOURS.warm;
  context.setLineDash([5, 4]);
  context.beginPath();
  for (const [x, y] of corners) context.lineTo(x * scale, y * scale);
  context.closePath();
  context.stroke();
  context.setLineDash([]);
}

function drawFace(context, { index, box, landmarks }, scale, isChosen) {
  const [left, top, right, bottom] = box.map((value) => value * scale);
  context.fillStyle = context.strokeStyle = isChosen ? COLOURS.accent : COLOURS.text;
  if (isChosen) for (const [x, y] of landmarks) context.fillRect(x * scale - 0.5, y * scale - 0.5, 1, 1);
  context.lineWidth = isChosen ? 2 : 1;
  context.strokeRect(left, top, right - left, bottom - top);
  context.lineWidth = 1;
  context.fillRect(left, top - 16, 20, 16);
  context.fillStyle = "#000";
  context.font = "bold 12px system-ui, sans-serif";
  context.fillText(String(index), left + 6, top - 4);
}

function drawNote(context, height, text) {
  context.font = "12px system-ui, sans-serif";
  context.fillStyle = "rgba(0, 0, 0, 0.6)";
  context.fillRect(4, height - 24, context.measureText(text).width + 12, 20);
  context.fillStyle = COLOURS.bright;
  context.fillText(text, 10, height - 10);
}

app.registerExtension({
  name: "TalkingHead.FaceChooser",
  nodeCreated(node) {
    if (node.comfyClass === "LoadPortrait") addChooser(node);
  },
});
