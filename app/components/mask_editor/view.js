// Where the image lies in its window: between the pointer's CSS pixels and the image's own.
//
// `scale` counts device pixels per image pixel and the offset is whole device pixels, so from 1 up a step of the zoom shows
// every image pixel as a square of the same size.

const STEPS = [1 / 16, 1 / 12, 1 / 8, 1 / 6, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64];
const NOTCH = 60; // of a wheel's delta; a mouse sends 100 or 120 at once, a touch pad little by little
const MARGIN = 16; // CSS pixels around the image when it fits
const SEEN = 80; // CSS pixels of the image that always stay in sight

export class View {
  constructor(width, height) {
    Object.assign(this, { width, height, scale: 1, x: 0, y: 0, fitted: true, wheeled: 0 });
    this.resize(1, 1, 1);
  }

  /** Say how large the window is, in CSS pixels, and how many device pixels one of them has. */
  resize(stageWidth, stageHeight, ratio) {
    Object.assign(this, { stageWidth, stageHeight, ratio });
    if (this.fitted) this.fit();
    else this.#hold();
  }

  /** Show the whole image. */
  fit() {
    const room = (length, own) => (Math.max(1, length - 2 * MARGIN) * this.ratio) / own;
    this.scale = Math.min(room(this.stageWidth, this.width), room(this.stageHeight, this.height), STEPS.at(-1));
    this.fitted = true;
    this.x = Math.round((this.stageWidth * this.ratio - this.width * this.scale) / 2);
    this.y = Math.round((this.stageHeight * this.ratio - this.height * this.scale) / 2);
  }

  /** Return the position in the image, in its pixels, of a point of the window in CSS pixels. */
  toImage(x, y) {
    return [(x * this.ratio - this.x) / this.scale, (y * this.ratio - this.y) / this.scale];
  }

  /** Return the point of the window, in CSS pixels, of a position in the image. */
  toStage(x, y) {
    return [(x * this.scale + this.x) / this.ratio, (y * this.scale + this.y) / this.ratio];
  }

  /** Zoom so many steps in (or out, below zero) and keep what lies under the point where it is. */
  zoomAt(x, y, steps) {
    let next = this.scale;
    for (let left = Math.abs(steps); left > 0; left -= 1) {
      const found = steps > 0 ? STEPS.find((step) => step > next * 1.001) : STEPS.findLast((step) => step < next * 0.999);
      next = found ?? next;
    }
    this.zoomTo(x, y, next);
  }

  zoomTo(x, y, scale) {
    const [column, row] = this.toImage(x, y);
    this.scale = scale;
    this.fitted = false;
    this.x = Math.round(x * this.ratio - column * scale);
    this.y = Math.round(y * this.ratio - row * scale);
    this.#hold();
  }

  /** Gather a wheel's movement until it is worth a step; returns whether the zoom changed. */
  wheel(x, y, delta) {
    if (Math.sign(delta) !== Math.sign(this.wheeled)) this.wheeled = 0;
    this.wheeled += delta;
    if (Math.abs(this.wheeled) < NOTCH) return false;
    this.wheeled = 0;
    this.zoomAt(x, y, delta < 0 ? 1 : -1);
    return true;
  }

  pan(dx, dy) {
    this.fitted = false;
    this.x += Math.round(dx * this.ratio);
    this.y += Math.round(dy * this.ratio);
    this.#hold();
  }

  /** Bring a box of the image into sight; nearer when it is small, but never nearer than asked for. */
  reveal(box, nearest = 6) {
    const [left, top] = this.toStage(box.x, box.y);
    const [right, bottom] = this.toStage(box.x + box.width, box.y + box.height);
    const within = left >= 0 && top >= 0 && right <= this.stageWidth && bottom <= this.stageHeight;
    const large = Math.max((right - left) / this.stageWidth, (bottom - top) / this.stageHeight) > 0.12;
    if (within && large) return false;
    const room = Math.min((this.stageWidth * this.ratio) / box.width, (this.stageHeight * this.ratio) / box.height) / 3;
    const wanted = Math.max(this.#fitScale(), Math.min(nearest * this.ratio, room));
    this.scale = STEPS.findLast((step) => step <= wanted) ?? wanted;
    if (this.scale < this.#fitScale()) {
      this.fit();
      return true;
    }
    this.fitted = false;
    this.x = Math.round((this.stageWidth * this.ratio) / 2 - (box.x + box.width / 2) * this.scale);
    this.y = Math.round((this.stageHeight * this.ratio) / 2 - (box.y + box.height / 2) * this.scale);
    this.#hold();
    return true;
  }

  /** Return how the image's own pixels come to lie in the window, in CSS pixels. */
  get placed() {
    return { x: this.x / this.ratio, y: this.y / this.ratio, scale: this.scale / this.ratio };
  }

  #fitScale() {
    return Math.min((this.stageWidth * this.ratio) / this.width, (this.stageHeight * this.ratio) / this.height);
  }

  /** Keep a piece of the image in sight. */
  #hold() {
    const seen = SEEN * this.ratio;
    const clamp = (offset, length, stage) => Math.round(Math.min(stage - Math.min(seen, length), Math.max(Math.min(seen, length) - length, offset)));
    this.x = clamp(this.x, this.width * this.scale, this.stageWidth * this.ratio);
    this.y = clamp(this.y, this.height * this.scale, this.stageHeight * this.ratio);
  }
}
