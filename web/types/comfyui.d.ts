// What the page scripts use of ComfyUI's page, which serves these two modules beside the pack's own.

declare module "*/scripts/app.js" {
  export const app: any;
}

declare module "*/scripts/api.js" {
  export const api: any;
}
