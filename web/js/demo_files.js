/** An example workflow of the pack brings its demo files into ComfyUI's input folder when it is opened. */

import { app } from "../../scripts/app.js";
import { posted } from "./posted.mjs";
import { say } from "./words.mjs";

const ROUTE = "/talking_head/demo_files";

/** The demo files that a workflow's nodes still name; none in workflows that are not made of an example. */
function demoFiles({ extra, nodes, definitions }) {
  const values = JSON.stringify([nodes, definitions]);
  return (extra?.talking_head?.demo_files ?? []).filter((name) => values.includes(JSON.stringify(name)));
}

/** All nodes of a graph and of its subgraphs. */
function nodesIn(graph) {
  return graph.nodes.flatMap((node) => (node.subgraph ? [node, ...nodesIn(node.subgraph)] : [node]));
}

/** Whether a list to choose from does not hold a file that was chosen: it is older than the file. */
function isOutdated({ type, value, options }, files) {
  return type === "combo" && files.includes(value) && Array.isArray(options?.values) && !options.values.includes(value);
}

let files = []; // of the workflow that is being opened

app.registerExtension({
  name: "TalkingHead.DemoFiles",
  async beforeConfigureGraph(workflow) {
    files = demoFiles(workflow);
    if (!files.length) return;
    try {
      await posted(ROUTE, { files });
    } catch (problem) {
      const summary = say("The demo files could not be copied.");
      app.extensionManager.toast.add({ severity: "warn", summary, detail: problem.message, life: 12000 });
    }
  },
  async afterConfigureGraph() {
    const widgets = nodesIn(app.rootGraph ?? app.graph).flatMap((node) => node.widgets ?? []);
    if (!widgets.some((widget) => isOutdated(widget, files))) return;
    await (app.reloadNodeDefs ?? app.refreshComboInNodes).call(app); // the first one, where there is it, is silent
  },
});
