/** The page of `talking-head live`: shows each frame while the sound at its moment is heard. */
import { Player } from "./player.mjs";

const [FRAME, SOUND] = [1, 2]; // kinds of binary messages; see apps/live/viewer.py
const HEADER_BYTES = 12;
const AFTER_THE_FRAME = 0.1; // seconds for a frame's way here, beyond the latency it has anyway
const PIECE_SECONDS = 0.02; // of what the microphone hears, sent at once

const query = `?${new URLSearchParams({ token: new URLSearchParams(location.search).get("token") ?? "" })}`;
const canvas = document.querySelector("canvas");
const button = document.querySelector("button");
const isHeard = document.querySelector("input");
const told = document.querySelector("[role=status]");

/** What a curious reader, or a test, may look at: frames shown, and how far the slowest was behind its sound. */
const report = canvas.dataset;

/** Draw a picture over the whole canvas. */
function draw(picture) {
  if (canvas.width !== picture.width || canvas.height !== picture.height) {
    [canvas.width, canvas.height] = [picture.width, picture.height];
  }
  canvas.getContext("2d").drawImage(picture, 0, 0);
}

/** The frames that wait to be shown, by their index. */
class Frames {
  constructor(fps) {
    this.fps = fps;
    this.waiting = new Map();
  }

  async add(index, jpeg) {
    this.waiting.set(index, await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" })));
  }

  /** Those that are not ahead of the sound. */
  due(second) {
    return [...this.waiting.keys()].filter((index) => index / this.fps <= second).sort((a, b) => a - b);
  }

  /** Show the newest one that is due. */
  show(second) {
    const newest = this.due(second).at(-1);
    if (newest === undefined) return;
    draw(this.waiting.get(newest));
    report.shown = String(Number(report.shown) + 1);
    report.behind = String(Math.max(Number(report.behind), second - newest / this.fps));
    this.forget(this.due(second));
  }

  /** Keep none that a newer one has followed: a hidden page is not asked to show any. */
  tidy(second) {
    this.forget(this.due(second).slice(0, -1));
    report.waiting = String(this.waiting.size);
  }

  forget(indices) {
    for (const index of indices) {
      this.waiting.get(index).close();
      this.waiting.delete(index);
    }
  }
}

/** Send what the microphone hears, until the connection goes. */
async function speak(socket) {
  if (!navigator.mediaDevices) {
    throw new Error("browsers give it to pages at localhost or https:// only, and not to this address.");
  }
  const mediaStream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true } });
  const context = new AudioContext(); // of the microphone's own rate: Firefox joins it to no other
  const letGo = () => {
    for (const track of mediaStream.getTracks()) track.stop();
    context.close();
  };
  if (socket.readyState !== WebSocket.OPEN) return letGo(); // gone while the user was asked
  socket.addEventListener("close", letGo);
  await context.audioWorklet.addModule("/code/microphone.mjs");
  const microphone = new AudioWorkletNode(context, "microphone", {
    processorOptions: { samples: Math.round(PIECE_SECONDS * context.sampleRate) },
  });
  microphone.port.onmessage = ({ data }) => {
    if (socket.readyState === WebSocket.OPEN) socket.send(data);
  };
  socket.send(JSON.stringify({ sample_rate: context.sampleRate }));
  new MediaStreamAudioSourceNode(context, { mediaStream }).connect(microphone);
}

/** Set everything up for what the server says of itself. */
function begin(hello, socket) {
  const context = new AudioContext({ sampleRate: hello.sample_rate });
  const player = new Player(context, hello.sample_rate, hello.latency + AFTER_THE_FRAME);
  const frames = new Frames(hello.fps);
  isHeard.checked = !hello.microphone; // one's own voice would come back into the microphone
  const hear = () => (player.isHeard = isHeard.checked);
  isHeard.onchange = hear;
  hear();
  const show = () => {
    frames.show(player.heard());
    if (socket.readyState === WebSocket.OPEN || player.hasMore) requestAnimationFrame(show);
    else context.close();
  };
  requestAnimationFrame(show);
  told.textContent = hello.microphone ? "Speak." : "";
  if (hello.microphone) speak(socket).catch((error) => (told.textContent = `No microphone: ${error.message}`));
  return { player, frames };
}

/** Take what the server sends. */
function listen() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/live${query}`);
  socket.binaryType = "arraybuffer";
  let parts,
    hasEnded = false;
  socket.onmessage = ({ data }) => {
    if (typeof data === "string") {
      const message = JSON.parse(data);
      if (message.end) hasEnded = true;
      else parts = begin(message, socket);
      return;
    }
    const header = new DataView(data);
    const [kind, number] = [header.getUint32(0, true), header.getFloat64(4, true)];
    if (kind === SOUND) {
      parts.player.add(number, new Int16Array(data, HEADER_BYTES));
      parts.frames.tidy(parts.player.heard());
    }
    if (kind === FRAME) parts.frames.add(number, new Uint8Array(data, HEADER_BYTES));
  };
  socket.onclose = () => {
    button.disabled = false;
    told.textContent = hasEnded ? "The end." : "The connection is gone.";
  };
}

button.onclick = () => {
  button.disabled = true;
  Object.assign(report, { shown: 0, behind: 0 });
  listen();
};
const portrait = new Image();
portrait.onload = () => draw(portrait);
portrait.src = `/portrait.jpg${query}`;
