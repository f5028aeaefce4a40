// What the page's scripts use and TypeScript's own libraries do not know.

/** ComfyUI's page serves these two modules beside the pack's own. */
declare module "*/scripts/app.js" {
  // biome-ignore lint/suspicious/noExplicitAny: ComfyUI publishes no types that fit all versions of its page
  export const app: any;
}

declare module "*/scripts/api.js" {
  // biome-ignore lint/suspicious/noExplicitAny: as above
  export const api: any;
}

/** LiteGraph's canvas, which ComfyUI's page makes global. */
declare const LGraphCanvas: { link_type_colors: Record<string, string> };

/** The scope of an audio worklet. */
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare function registerProcessor(name: string, processor: typeof AudioWorkletProcessor): void;
