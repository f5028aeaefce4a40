/** The portrait of an ExpressionEdit node: drag its head, pupils, lids, brows, lips and the corners of its mouth. */

import { COLOURS, drawHint, drawnCanvas, onDrag, pointerPlace } from "./canvas_panel.mjs";
import { say } from "./words.mjs";

// What dragging a part by one pupil distance to the right and down adds to the sliders.
const GRIPS = {
  left_pupil: { right: { pupil_x: 60 }, down: { pupil_y: -60 } },
  right_pupil: { right: { pupil_x: 60 }, down: { pupil_y: -60 } },
  left_lid: { right: {}, down: { left_lid: 4 } },
  right_lid: { right: {}, down: { right_lid: 4 } },
  left_brow: { right: {}, down: { eyebrow: -50 } },
  right_brow: { right: {}, down: { eyebrow: -50 } },
  left_corner: { right: { eee: -50 }, down: { smile: -5 } },
  right_corner: { right: { eee: 50 }, down: { smile: -5 } },
  lips: { right: { jaw_sideways: 0.7 }, down: { aaa: 150 } },
  nose: { right: { rotate_yaw: 35 }, down: { rotate_pitch: 35 } },
};
const CALLED = {
  left_pupil: "gaze",
  right_pupil: "gaze",
  left_lid: "left lid",
  right_lid: "right lid",
  left_brow: "brows",
  right_brow: "brows",
  left_corner: "smile, wide",
  right_corner: "smile, wide",
  lips: "mouth, jaw",
  nose: "turn the head",
  tilt: "tilt the head",
};
const REACH = 14; // pixels around a handle
const LID_LIFT = 0.13; // pupil distances by which a lid is held above itself, clear of the pupil
const FACE = 2.2; // pupil distances around the nose; outside the head is tilted

/**
 * @param read gives the sliders' amounts by name
 * @param write moves sliders
 */
export function expressionPad({ read, write }) {
  let image = null;
  let handles = null;
  let hint = say("Run the workflow once:\nthe portrait appears here and can be dragged.");
  let held = null;

  const { canvas, redraw } = drawnCanvas(draw, { flex: "1 1 auto", minHeight: "0", cursor: "grab" });
  canvas.title = say(
    "Drag the head, pupils, lids, brows, lips or mouth corners; drag beside the head to tilt it; double click resets a part.",
  );

  function square(width = canvas.offsetWidth, height = canvas.offsetHeight) {
    const side = Math.min(width, height);
    return { left: (width - side) / 2, top: (height - side) / 2, side };
  }

  function places() {
    const { left, top, side } = square();
    const unit =
      Math.hypot(handles.right_pupil[0] - handles.left_pupil[0], handles.right_pupil[1] - handles.left_pupil[1]) * side;
    const at = Object.entries(handles).map(([name, [x, y]]) => {
      const lift = name.endsWith("_lid") ? LID_LIFT * unit : 0;
      return [name, { x: left + x * side, y: top + y * side - lift }];
    });
    return { unit, at: Object.fromEntries(at) };
  }

  function gripAt(place) {
    const { unit, at } = places();
    const near = Object.entries(at)
      .map(([name, { x, y }]) => ({ name, far: Math.hypot(place.x - x, place.y - y) }))
      .sort((one, other) => one.far - other.far)[0];
    if (near.far <= REACH) return near.name;
    return Math.hypot(place.x - at.nose.x, place.y - at.nose.y) < FACE * unit ? "nose" : "tilt";
  }

  function draw(context, width, height) {
    if (!image) {
      drawHint(context, width, height, hint);
      return;
    }
    const { left, top, side } = square(width, height);
    context.fillStyle = COLOURS.back;
    context.fillRect(0, 0, width, height);
    context.drawImage(image, left, top, side, side);
    const { at } = places();
    for (const [name, { x, y }] of Object.entries(at)) {
      context.beginPath();
      context.arc(x, y, name === held ? 5 : 3, 0, 2 * Math.PI);
      context.fillStyle = name === held ? COLOURS.warm : COLOURS.accent;
      context.globalAlpha = name === held ? 1 : 0.75;
      context.fill();
    }
    context.globalAlpha = 1;
    if (hint || held) drawCaption(context, left, top + side, hint || say(CALLED[held]));
  }

  function drawCaption(context, left, bottom, text) {
    context.font = "12px system-ui, sans-serif";
    context.fillStyle = "rgba(0, 0, 0, 0.55)";
    context.fillRect(left, bottom - 20, context.measureText(text).width + 12, 20);
    context.fillStyle = COLOURS.bright;
    context.fillText(text, left + 6, bottom - 6);
  }

  onDrag(canvas, (from) => {
    if (!image) return null;
    const grip = gripAt(from);
    const before = read();
    const { unit, at } = places();
    const angle = (place) => (Math.atan2(place.y - at.nose.y, place.x - at.nose.x) * 180) / Math.PI;
    const tilted = (place) => ({ rotate_roll: ((angle(place) - angle(from) + 540) % 360) - 180 });
    const dragged = (place) => added(GRIPS[grip], (place.x - from.x) / unit, (place.y - from.y) / unit);
    const moved = grip === "tilt" ? tilted : dragged;
    held = grip;
    redraw();
    return {
      move: (place) => {
        const change = moved(place);
        write(Object.fromEntries(Object.entries(change).map(([name, by]) => [name, (before[name] ?? 0) + by])));
      },
      end: () => {
        held = null;
        redraw();
      },
    };
  });

  canvas.addEventListener("pointermove", (event) => {
    if (!image || event.buttons) return;
    const over = gripAt(pointerPlace(canvas, event));
    canvas.style.cursor = over === "tilt" ? "alias" : "grab";
    if (over !== held) {
      held = over;
      redraw();
    }
  });
  canvas.addEventListener("pointerleave", (event) => {
    if (event.buttons) return;
    held = null;
    redraw();
  });
  canvas.addEventListener("dblclick", (event) => {
    event.stopPropagation();
    if (!image) return;
    const grip = gripAt(pointerPlace(canvas, event));
    const { right, down } = GRIPS[grip] ?? { right: { rotate_roll: 0 }, down: {} };
    write(Object.fromEntries([...Object.keys(right), ...Object.keys(down)].map((name) => [name, 0])));
  });

  return {
    canvas,
    show(newImage, newHandles) {
      [image, handles, hint] = [newImage, newHandles, ""];
      redraw();
    },
    say(sentence) {
      hint = sentence;
      redraw();
    },
    forget(sentence) {
      [image, handles, hint] = [null, null, sentence];
      redraw();
    },
  };
}

/** Amounts that a drag adds, by slider. */
function added({ right, down }, x, y) {
  const by = [
    ...Object.entries(right).map(([name, rate]) => [name, rate * x]),
    ...Object.entries(down).map(([name, rate]) => [name, rate * y]),
  ];
  return Object.fromEntries(by);
}
