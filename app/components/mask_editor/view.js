// Placement of the image in its window: conversion between CSS pixels of the pointer and pixels of the image.
//
// `scale` counts device pixels per image pixel and the offset is whole device pixels, so from 1 up a step of the zoom shows
// every image pixel as a square of the same size.

/** @import { Box, Point } from "../shared/types.d.ts" */

const STEPS = [1 / 16, 1 / 12, 1 / 8, 1 / 6, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64];
const NOTCH = 60; // of a wheel's delta; a mouse sends 100 or 120 at once, a touch pad little by little
const MARGIN = 16; // CSS pixels around the image when it fits
const SEEN = 80; // CSS pixels of the image that always stay in sight

export class View {
  // Size of the window in CSS pixels, and device pixels in one of them.
  stageWidth = 1;
  stageHeight = 1;
  ratio = 1;

  /** @param {number} width @param {number} height */
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    this.fitted = true;
    this.wheeled = 0;
    this.resize(1, 1, 1);
  }

  /**
   * Set the size of the window in CSS pixels, and the number of device pixels in one of them.
   *
   * @param {number} stageWidth
   * @param {number} stageHeight
   * @param {number} ratio
   */
  resize(stageWidth, stageHeight, ratio) {
    this.stageWidth = stageWidth;
    this.stageHeight = stageHeight;
    this.ratio = ratio;
    if (this.fitted) this.fit();
    else this.#hold();
  }

  /** Show the whole image. */
  fit() {
    /** @param {number} length @param {number} own */
    const room = (length, own) => (Math.max(1, length - 2 * MARGIN) * this.ratio) / own;
    this.scale = Math.min(room(this.stageWidth, this.width), room(this.stageHeight, this.height), STEPS[STEPS.length - 1]);
    this.fitted = true;
    this.x = Math.round((this.stageWidth * this.ratio - this.width * this.scale) / 2);
    this.y = Math.round((this.stageHeight * this.ratio - this.height * this.scale) / 2);
  }

  /** Return the position in the image, in its pixels, of a point of the window in CSS pixels. @param {number} x @param {number} y @returns {Point} */
  toImage(x, y) {
    return [(x * this.ratio - this.x) / this.scale, (y * this.ratio - this.y) / this.scale];
  }

  /** Return the point of the window, in CSS pixels, of a position in the image. @param {number} x @param {number} y @returns {Point} */
  toStage(x, y) {
    return [(x * this.scale + this.x) / this.ratio, (y * this.scale + this.y) / this.ratio];
  }

  /** Zoom in by this many steps (or out, below zero) around a point. @param {number} x @param {number} y @param {number} steps */
  zoomAt(x, y, steps) {
    let next = this.scale;
    for (let left = Math.abs(steps); left > 0; left -= 1) {
      const found = steps > 0 ? STEPS.find((step) => step > next * 1.001) : STEPS.findLast((step) => step < next * 0.999);
      next = found ?? next;
    }
    this.zoomTo(x, y, next);
  }

  /** @param {number} x @param {number} y @param {number} scale */
  zoomTo(x, y, scale) {
    this.lay(this.toImage(x, y), x, y, scale);
  }

  /**
   * Place a position of the image under a point of the window, at a scale within the limits of the zoom.
   *
   * @param {Point} position
   * @param {number} x
   * @param {number} y
   * @param {number} scale
   */
  lay([column, row], x, y, scale) {
    const least = Math.min(STEPS[0], this.#fitScale());
    this.scale = Math.max(least, Math.min(STEPS[STEPS.length - 1], scale));
    this.fitted = false;
    this.x = Math.round(x * this.ratio - column * this.scale);
    this.y = Math.round(y * this.ratio - row * this.scale);
    this.#hold();
  }

  /** Add up a wheel's movement until it makes a step; returns whether the zoom changed. @param {number} x @param {number} y @param {number} delta */
  wheel(x, y, delta) {
    if (Math.sign(delta) !== Math.sign(this.wheeled)) this.wheeled = 0;
    this.wheeled += delta;
    if (Math.abs(this.wheeled) < NOTCH) return false;
    this.wheeled = 0;
    this.zoomAt(x, y, delta < 0 ? 1 : -1);
    return true;
  }

  /** @param {number} dx @param {number} dy */
  pan(dx, dy) {
    this.fitted = false;
    this.x += Math.round(dx * this.ratio);
    this.y += Math.round(dy * this.ratio);
    this.#hold();
  }

  /** Bring a box of the image into view, zoomed in if it is small. @param {Box} box @param {number} [nearest] */
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
    /** @param {number} offset @param {number} length @param {number} stage */
    const clamp = (offset, length, stage) => Math.round(Math.min(stage - Math.min(seen, length), Math.max(Math.min(seen, length) - length, offset)));
    this.x = clamp(this.x, this.width * this.scale, this.stageWidth * this.ratio);
    this.y = clamp(this.y, this.height * this.scale, this.stageHeight * this.ratio);
  }
}
