/** The keyframes of an ExpressionEdit node on a timeline; they live as JSON in the node's `keyframes` widget. */

import { COLOURS, choiceOf, drawnCanvas, element, onDrag, textButton } from "./canvas_panel.mjs";
import { say } from "./words.mjs";

const EASINGS = ["smooth", "linear", "ease in", "ease out", "hold"];
const MARGIN = 10; // pixels beside the first and last moment
const REACH = 8; // pixels around a keyframe
const SHORTEST = 2; // seconds that are shown at least

/**
 * @param keyframes gives the widget's text
 * @param write sets it
 * @param length gives the seconds that the motion lasts at least
 * @param amounts gives where the sliders stand
 * @param onKey hears the amounts of a keyframe that was chosen
 * @param onMoment hears the moment, in seconds, that shall be seen
 */
export function expressionTimeline({ keyframes, write, length, amounts, onKey, onMoment }) {
  let now = 0;
  let chosen = null; // seconds of the chosen keyframe
  let playing = null;

  const { canvas, redraw } = drawnCanvas(draw, { height: "34px", cursor: "pointer" });
  canvas.title = say("Click to see a moment; drag a keyframe to move it.");
  const add = textButton(say("◆ Set"), say("Set a keyframe here, with the sliders as they stand"), () => setKey());
  const remove = textButton(say("Remove"), say("Remove the chosen keyframe"), () => removeKey());
  const play = textButton("▶", say("Play the keyframes"), () => (playing ? stop() : start()));
  const easing = choiceOf(
    say("How the chosen keyframe goes on to the next one"),
    EASINGS.map((name) => new Option(say(name), name)),
  );
  easing.addEventListener(
    "change",
    () => chosenKey() && save(replaced(chosen, { ...chosenKey(), easing: easing.value })),
  );
  const buttons = element(
    "div",
    { display: "flex", gap: "4px", alignItems: "center", flexWrap: "wrap" },
    play,
    add,
    remove,
    easing,
  );

  /** The keyframes in order of time; null when the text is none of ours. */
  function keys() {
    const text = keyframes().trim();
    if (!text) return [];
    try {
      const listed = JSON.parse(text);
      const isKey = (key) => Number.isFinite(key?.seconds) && typeof key.amounts === "object" && key.amounts !== null;
      return Array.isArray(listed) && listed.every(isKey)
        ? listed.sort((one, other) => one.seconds - other.seconds)
        : null;
    } catch {
      return null;
    }
  }

  const chosenKey = () => keys()?.find((key) => key.seconds === chosen);
  const replaced = (seconds, key) => [
    ...keys().filter((other) => other.seconds !== seconds && other.seconds !== key.seconds),
    key,
  ];

  function save(list) {
    write(list.length ? JSON.stringify(list.sort((one, other) => one.seconds - other.seconds)) : "");
    redraw();
  }

  function setKey() {
    if (!keys()) return;
    const seconds = rounded(now);
    chosen = seconds;
    save(replaced(seconds, { seconds, amounts: amounts(), easing: easing.value }));
  }

  function removeKey() {
    if (!chosenKey()) return;
    const gone = chosen;
    chosen = null;
    save(keys().filter((key) => key.seconds !== gone));
  }

  function choose(key) {
    chosen = now = key.seconds;
    easing.value = key.easing ?? "smooth";
    onKey(key.amounts);
    redraw();
  }

  function shownSeconds() {
    const last = keys()?.at(-1)?.seconds ?? 0;
    return Math.max(SHORTEST, length(), last * 1.15);
  }

  const scale = () => (canvas.offsetWidth - 2 * MARGIN) / shownSeconds();
  const placeOf = (seconds) => MARGIN + seconds * scale();
  const momentAt = (x) => Math.min(shownSeconds(), Math.max(0, (x - MARGIN) / scale()));

  function see(seconds) {
    now = seconds;
    if (keys()?.length) onMoment(now);
    redraw();
  }

  function start() {
    const last = keys()?.at(-1)?.seconds;
    if (!last) return;
    const begun = performance.now() - (now < last ? now : 0) * 1000;
    play.textContent = "■";
    playing = setInterval(() => {
      const seconds = (performance.now() - begun) / 1000;
      if (seconds >= last) stop();
      see(Math.min(seconds, last));
    }, 40);
  }

  function stop() {
    clearInterval(playing);
    playing = null;
    play.textContent = "▶";
  }

  onDrag(canvas, ({ x }) => {
    stop();
    const key = keys()?.find(({ seconds }) => Math.abs(placeOf(seconds) - x) <= REACH);
    if (!key) {
      chosen = null;
      see(momentAt(x));
      return { move: (place) => see(momentAt(place.x)) };
    }
    choose(key);
    return { move: (place) => moveChosen(rounded(momentAt(place.x))) };
  });

  function moveChosen(seconds) {
    const list = keys();
    if (seconds === chosen || list.some((key) => key.seconds === seconds)) return;
    const moved = replaced(chosen, { ...chosenKey(), seconds });
    chosen = now = seconds;
    save(moved);
  }

  function draw(context, width, height) {
    context.fillStyle = COLOURS.back;
    context.fillRect(0, 0, width, height);
    const list = keys();
    context.font = "10px system-ui, sans-serif";
    context.fillStyle = COLOURS.text;
    if (!list) {
      context.fillText(say("The keyframes are no JSON list of keyframes."), MARGIN, height / 2 + 3);
      return;
    }
    const step = [0.5, 1, 2, 5, 10, 30, 60, 300, 600].find((seconds) => seconds * scale() > 36) ?? 3600;
    context.strokeStyle = COLOURS.line;
    for (let seconds = 0; seconds <= shownSeconds(); seconds += step) {
      line(context, placeOf(seconds), height - 12, height);
      context.fillText(`${seconds}s`, placeOf(seconds) + 2, height - 3);
    }
    context.strokeStyle = COLOURS.bright;
    line(context, placeOf(now), 0, height - 12);
    for (const { seconds } of list)
      diamond(context, placeOf(seconds), 11, seconds === chosen ? COLOURS.warm : COLOURS.accent);
  }

  return { elements: [canvas, buttons], redraw, stop };
}

const rounded = (seconds) => Math.round(seconds * 100) / 100;

function line(context, x, top, bottom) {
  context.beginPath();
  context.moveTo(x, top);
  context.lineTo(x, bottom);
  context.stroke();
}

function diamond(context, x, y, colour) {
  context.beginPath();
  context.moveTo(x, y - 6);
  context.lineTo(x + 6, y);
  context.lineTo(x, y + 6);
  context.lineTo(x - 6, y);
  context.closePath();
  context.fillStyle = colour;
  context.fill();
}
