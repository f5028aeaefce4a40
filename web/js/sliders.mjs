/** The sliders of an ExpressionEdit node: ordinary number widgets, which the editor reads and writes. */

/** The node's slider widgets by name, as its description on the server marks them. */
export function sliderWidgets(node) {
  const inputs = node.constructor.nodeData?.input?.required ?? {};
  const isSlider = ({ name }) => inputs[name]?.[1]?.display === "slider";
  return Object.fromEntries((node.widgets ?? []).filter(isSlider).map((widget) => [widget.name, widget]));
}

/** The widget of that name, or undefined. */
export const widgetNamed = (node, name) => node.widgets?.find((widget) => widget.name === name);

/** Sets a widget as if somebody had. */
export function setWidget(widget, value) {
  widget.value = value;
  widget.callback?.(value);
}

/** Where the sliders stand, by name; those at 0 are left out. */
export function readAmounts(node) {
  const amounts = Object.entries(sliderWidgets(node)).map(([name, widget]) => [name, Number(widget.value)]);
  return Object.fromEntries(amounts.filter(([, amount]) => amount));
}

/** Moves the named sliders, each no farther than it goes. */
export function writeAmounts(node, amounts) {
  const widgets = sliderWidgets(node);
  for (const [name, amount] of Object.entries(amounts)) {
    const { min, max } = widgets[name].options;
    const held = Math.min(max, Math.max(min, amount));
    setWidget(widgets[name], Math.round(held * 100) / 100);
  }
}

/** Puts every slider where `amounts` says, and those it does not name to 0. */
export function setExpression(node, amounts) {
  const all = Object.keys(sliderWidgets(node)).map((name) => [name, Number(amounts[name]) || 0]);
  writeAmounts(node, Object.fromEntries(all));
}

/** Calls a listener whenever one of these widgets is changed, by hand or by us. */
export function onChanged(widgets, listener) {
  for (const widget of widgets) {
    const before = widget.callback;
    widget.callback = function (...given) {
      const result = before?.apply(this, given);
      listener();
      return result;
    };
  }
}
