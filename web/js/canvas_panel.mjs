/** What our widgets share: a panel in a node that both renderers show, and a canvas that is sharp on every screen. */

export const COLOURS = {
  back: "#1d1f24", line: "#3c4048", text: "#b8bcc6", accent: "#5ad1a4", warm: "#f2b45c", bright: "#ffffff",
};

/**
 * Puts an element into a node, below its widgets. It is neither saved nor sent: what it shows lives in the node's
 * ordinary widgets.
 */
export function addPanel(node, name, element, height) {
  const options = { getMinHeight: () => height, hideOnZoom: false, serialize: false };
  const widget = node.addDOMWidget(name, name, element, options);
  widget.serialize = false;
  node.setSize?.([Math.max(node.size[0], 320), Math.max(node.size[1], node.computeSize()[1])]);
  return widget;
}

/** Takes a panel out of its node again. */
export function removePanel(node, widget) {
  widget.onRemove?.();
  node.widgets.splice(node.widgets.indexOf(widget), 1);
}

/** An element with CSS and children. */
export function element(tag, style, ...children) {
  const made = document.createElement(tag);
  Object.assign(made.style, style);
  made.append(...children);
  return made;
}

const CONTROL = {
  background: "var(--comfy-input-bg)", color: "var(--input-text)", border: "1px solid var(--border-color)",
  borderRadius: "4px", padding: "2px 6px", cursor: "pointer", fontSize: "12px",
};

/** A button with a text. */
export function textButton(text, title, onClick) {
  const made = element("button", { ...CONTROL, flex: "0 0 auto" }, text);
  made.type = "button";
  made.title = title;
  made.addEventListener("click", onClick);
  return made;
}

/** A list to choose from; `options` are texts or elements. */
export function choiceOf(title, options, style = {}) {
  const made = element("select", { ...CONTROL, minWidth: "0", ...style }, ...options);
  made.title = title;
  return made;
}

/**
 * A canvas that calls `draw(context, width, height)`, in CSS pixels, whenever its size changes or `redraw` is called;
 * drawing waits for the next frame of the screen, so that many calls cost one.
 */
export function drawnCanvas(draw, style = {}) {
  const canvas = element("canvas", { display: "block", width: "100%", touchAction: "none", ...style });
  let asked = false;
  const paint = () => {
    asked = false;
    const [width, height] = [canvas.offsetWidth, canvas.offsetHeight];
    if (!width || !height) return;
    const density = Math.max(window.devicePixelRatio || 1, 2); // the graph is zoomed into
    canvas.width = Math.round(width * density);
    canvas.height = Math.round(height * density);
    const context = canvas.getContext("2d");
    context.scale(density, density);
    draw(context, width, height);
  };
  const redraw = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(paint);
  };
  new ResizeObserver(redraw).observe(canvas);
  return { canvas, redraw };
}

/** Where a pointer is on a canvas, in the CSS pixels it is drawn in, whatever the graph's zoom. */
export function pointerPlace(canvas, event) {
  const seen = canvas.getBoundingClientRect();
  return {
    x: ((event.clientX - seen.left) / seen.width) * canvas.offsetWidth,
    y: ((event.clientY - seen.top) / seen.height) * canvas.offsetHeight,
  };
}

/**
 * Lets somebody drag on a canvas: `start(place, event)` answers what `move(place, event)` and `end()` go on with, or
 * nothing for no drag. The graph behind does not hear of it.
 */
export function onDrag(canvas, start) {
  let drag = null;
  const stop = (event) => event.stopPropagation();
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    stop(event);
    drag = start(pointerPlace(canvas, event), event) ?? null;
    if (drag) canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag) return;
    stop(event);
    drag.move?.(pointerPlace(canvas, event), event);
  });
  for (const over of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(over, (event) => {
      if (!drag) return;
      stop(event);
      const ended = drag;
      drag = null;
      ended.end?.();
    });
  }
}

/** Hears what a node showed after each run, beside whoever listens already. */
export function onShown(node, listener) {
  const before = node.onExecuted;
  node.onExecuted = function (output, ...others) {
    const result = before?.call(this, output, ...others);
    listener(output ?? {});
    return result;
  };
}

/** Calls a listener after a node got its values from a saved workflow. */
export function onLoaded(node, listener) {
  const before = node.onConfigure;
  node.onConfigure = function (...given) {
    const result = before?.apply(this, given);
    listener();
    return result;
  };
}

/** Calls a listener when a node is taken out of the graph. */
export function onRemoved(node, listener) {
  const before = node.onRemoved;
  node.onRemoved = function (...given) {
    listener();
    return before?.apply(this, given);
  };
}

/** A sentence in the middle of a panel that has nothing to show yet. */
export function drawHint(context, width, height, sentence) {
  context.fillStyle = COLOURS.back;
  context.fillRect(0, 0, width, height);
  context.fillStyle = COLOURS.text;
  context.font = "13px system-ui, sans-serif";
  context.textAlign = "center";
  const lines = sentence.split("\n");
  lines.forEach((line, index) => context.fillText(line, width / 2, height / 2 + (index - (lines.length - 1) / 2) * 18));
  context.textAlign = "start";
}
