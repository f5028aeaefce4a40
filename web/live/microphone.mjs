/** Hands on what a microphone hears, in pieces of so many samples, from the audio thread to the page. */
class Microphone extends AudioWorkletProcessor {
  constructor({ processorOptions: { samples } }) {
    super();
    this.piece = new Float32Array(samples);
    this.filled = 0;
  }

  process([input]) {
    for (const sample of input[0] ?? []) {
      this.piece[this.filled++] = sample;
      if (this.filled === this.piece.length) {
        this.port.postMessage(this.piece.slice());
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("microphone", Microphone);
