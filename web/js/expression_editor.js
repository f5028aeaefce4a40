/** The editor over the sliders of an ExpressionEdit node: a live portrait to drag, expressions by name, keyframes. */

import { app } from "../../scripts/app.js";
import { addPanel, element, onLoaded, onRemoved, onShown } from "./canvas_panel.mjs";
import { expressionPad } from "./expression_pad.mjs";
import { presetRow } from "./expression_presets.mjs";
import { expressionTimeline } from "./expression_timeline.mjs";
import { livePicture } from "./live_picture.mjs";
import {
  onChanged,
  readAmounts,
  setExpression,
  setWidget,
  sliderWidgets,
  widgetNamed,
  writeAmounts,
} from "./sliders.mjs";
import { say } from "./words.mjs";

const SHOWN = "talking_head_expression"; // key of what the node shows after a run
const PREVIEW = "talking_head_preview"; // property of the node: the server's name for the portrait
const LIVE = "TalkingHead.LivePicture";
const HEIGHT = 400;

function addEditor(node) {
  const keyframes = widgetNamed(node, "keyframes");
  const seconds = widgetNamed(node, "seconds");
  let lasted = 0;

  const read = () => readAmounts(node);
  const pad = expressionPad({ read, write: (amounts) => writeAmounts(node, amounts) });
  const ask = livePicture(pad.show, (sentence, isGone) =>
    isGone ? pad.forget(wrapped(say(sentence))) : pad.say(say(sentence)),
  );
  const see = (wish) => {
    const preview = node.properties[PREVIEW];
    if (preview && app.extensionManager.setting.get(LIVE) !== false) ask({ preview, ...wish });
  };
  const seeSliders = () => see({ amounts: read() });
  const timeline = expressionTimeline({
    keyframes: () => String(keyframes.value ?? ""),
    write: (text) => setWidget(keyframes, text),
    length: () => Math.max(lasted, Number(seconds.value) || 0),
    amounts: read,
    onKey: (amounts) => setExpression(node, amounts),
    onMoment: (moment) => see({ keyframes: keyframes.value, seconds: moment }),
  });
  const presets = presetRow({ read, apply: (amounts) => setExpression(node, amounts) });

  const style = {
    display: "flex",
    flexDirection: "column",
    gap: "4px",
    height: "100%",
    width: "100%",
    minHeight: `${HEIGHT}px`,
    fontSize: "12px",
  };
  const panel = element("div", style, pad.canvas, ...timeline.elements, presets);
  panel.dataset.talkingHead = "expression";
  panel.addEventListener("pointerdown", (event) => event.stopPropagation());
  addPanel(node, "expression_editor", panel, HEIGHT);

  onChanged(Object.values(sliderWidgets(node)), seeSliders);
  onChanged([keyframes, seconds], timeline.redraw);
  onLoaded(node, () => {
    timeline.redraw();
    seeSliders();
  });
  onShown(node, (output) => {
    const shown = output[SHOWN]?.[0];
    if (!shown) return;
    node.properties[PREVIEW] = shown.preview;
    lasted = shown.seconds;
    timeline.redraw();
    seeSliders();
  });
  onRemoved(node, timeline.stop);
}

/** A sentence in lines that fit the panel. */
const wrapped = (sentence) => sentence.replace(/(.{24,40}?)\s/g, "$1\n");

app.registerExtension({
  name: "TalkingHead.ExpressionEditor",
  nodeCreated(node) {
    if (node.comfyClass === "ExpressionEdit") addEditor(node);
  },
});
