/**
 * Plays sound that arrives, a while after it arrived, and tells which second of it is heard now.
 *
 * The sender's clock and the loudspeaker's differ a little, so pieces are played up to 1 % slower or faster, so that
 * as much sound lies ready as at first. Where none is left there is a gap, and then as much again.
 */
export class Player {
  /**
   * @param {AudioContext} context
   * @param {number} sampleRate samples a second
   * @param {number} wait seconds from a sound's arrival until it is heard
   */
  constructor(context, sampleRate, wait) {
    this.context = context;
    this.sampleRate = sampleRate;
    this.wait = wait;
    this.volume = new GainNode(context);
    this.volume.connect(context.destination);
    /** What is to be heard: {start: context seconds, second: of the sound, pace} of every piece. */
    this.pieces = [];
    this.end = 0;
  }

  /** @param {boolean} wanted whether the sound comes out */
  set isHeard(wanted) {
    this.volume.gain.value = wanted ? 1 : 0;
  }

  /** The context's second that comes out of the loudspeaker now. */
  get now() {
    return this.context.currentTime - (this.context.outputLatency || 0);
  }

  /** Whether sound is still to come. */
  get hasMore() {
    return this.now < this.end;
  }

  /**
   * One more piece.
   * @param {number} first number of its first sample
   * @param {Int16Array} samples
   */
  add(first, samples) {
    const now = this.context.currentTime;
    if (this.end < now) this.end = now + this.wait;
    const pace = 1 + clamp((this.end - now - this.wait) / 10, 0.01);
    const buffer = new AudioBuffer({ length: samples.length, sampleRate: this.sampleRate });
    buffer.copyToChannel(
      Float32Array.from(samples, (sample) => sample / 32768),
      0,
    );
    const source = new AudioBufferSourceNode(this.context, { buffer, playbackRate: pace });
    source.connect(this.volume);
    source.start(this.end);
    this.pieces.push({ start: this.end, second: first / this.sampleRate, pace });
    this.end += buffer.duration / pace;
  }

  /** The second of the sound that is heard now; below the first one's before anything is heard. */
  heard() {
    const { now } = this;
    while (this.pieces.length > 1 && this.pieces[1].start <= now) this.pieces.shift();
    if (!this.pieces.length || this.pieces[0].start > now) return -1;
    const { start, second, pace } = this.pieces[0];
    return second + (Math.min(now, this.end) - start) * pace;
  }
}

/** A value within ±limit. */
function clamp(value, limit) {
  return Math.max(-limit, Math.min(limit, value));
}
