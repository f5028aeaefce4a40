/** Nodes that make motion show its curves: mouth, blinks, gaze and head, over the sound. */

import { app } from "../../scripts/app.js";
import { addPanel, COLOURS, drawHint, drawnCanvas, element, onShown, pointerPlace } from "./canvas_panel.mjs";
import { say } from "./words.mjs";

const SHOWN = "talking_head_curves";
const NODES = ["AudioToMotion", "DriveFromVideo"];
const HEIGHT = 220;
const LINES = ["#5ad1a4", "#f2b45c", "#7fb3ff", "#ff8fa3", "#c9a2ff", "#e8e27a"];

function addCurves(node) {
  let shown = null;
  let seconds = null; // under the pointer

  const { canvas, redraw } = drawnCanvas(draw, { height: "100%", minHeight: `${HEIGHT}px` });
  const panel = element("div", { height: "100%", width: "100%" }, canvas);
  panel.dataset.talkingHead = "curves";
  addPanel(node, "curves", panel, HEIGHT);

  function draw(context, width, height) {
    if (!shown) {
      drawHint(context, width, height, say("Run the workflow to see the motion."));
      return;
    }
    context.fillStyle = COLOURS.back;
    context.fillRect(0, 0, width, height);
    const panels = [...new Set(shown.curves.map((curve) => curve.panel))];
    const each = height / panels.length;
    panels.forEach((name, row) => {
      const curves = shown.curves.filter((curve) => curve.panel === name);
      context.save();
      context.translate(0, row * each);
      if (shown.sound) drawSound(context, shown.sound, width * (shown.sound_seconds / shown.seconds), each);
      drawPanel(context, name, curves, width, each);
      context.restore();
    });
    if (seconds !== null) drawCursor(context, width, height);
  }

  function drawCursor(context, width, height) {
    const x = (seconds / shown.seconds) * width;
    context.fillStyle = COLOURS.bright;
    context.fillRect(x, 0, 1, height);
    context.font = "11px system-ui, sans-serif";
    const text = `${seconds.toFixed(2)} s`;
    context.fillText(text, Math.min(x + 4, width - context.measureText(text).width - 2), height - 4);
  }

  canvas.addEventListener("pointermove", (event) => {
    if (!shown) return;
    seconds = (pointerPlace(canvas, event).x / canvas.offsetWidth) * shown.seconds;
    redraw();
  });
  canvas.addEventListener("pointerleave", () => {
    seconds = null;
    redraw();
  });
  onShown(node, (output) => {
    if (!output[SHOWN]?.[0]) return;
    [shown] = output[SHOWN];
    redraw();
  });
}

function drawSound(context, peaks, width, height) {
  context.fillStyle = COLOURS.line;
  const step = width / peaks.length;
  peaks.forEach((peak, index) => {
    const tall = peak * (height - 4);
    context.fillRect(index * step, (height - tall) / 2, Math.max(step, 0.5), tall);
  });
}

function drawPanel(context, name, curves, width, height) {
  const all = curves.flatMap((curve) => curve.values);
  const low = Math.min(0, ...all);
  const span = Math.max(0, ...all) - low || 1;
  const y = (value) => height - 4 - ((value - low) / span) * (height - 18);
  context.fillStyle = COLOURS.line;
  context.fillRect(0, y(0), width, 0.5);
  let x = 4;
  context.font = "11px system-ui, sans-serif";
  context.fillStyle = COLOURS.text;
  context.fillText(say(name), x, 11);
  x += context.measureText(say(name)).width + 10;
  curves.forEach((curve, index) => {
    context.strokeStyle = context.fillStyle = LINES[index % LINES.length];
    context.beginPath();
    for (const [at, value] of curve.values.entries()) {
      context.lineTo(((at + 0.5) / curve.values.length) * width, y(value));
    }
    context.stroke();
    context.fillText(say(curve.name), x, 11);
    x += context.measureText(say(curve.name)).width + 8;
  });
  context.fillStyle = COLOURS.line;
  context.fillRect(0, height - 1, width, 1);
}

app.registerExtension({
  name: "TalkingHead.MotionCurves",
  nodeCreated(node) {
    if (NODES.includes(node.comfyClass)) addCurves(node);
  },
});
