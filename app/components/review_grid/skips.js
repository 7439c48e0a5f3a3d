// What a person put off in a round; kept in their browser only, since skipping stores nothing.

export class Skips {
  constructor(storage, round, name) {
    this.storage = storage;
    this.key = `outfold.skipped.${round}.${name ?? ""}`;
    let stored = [];
    try {
      stored = JSON.parse(storage.getItem(this.key)) ?? [];
    } catch {
      // unreadable: as if nothing had been put off
    }
    this.ids = new Set(Array.isArray(stored) ? stored : []);
  }

  has(id) {
    return this.ids.has(id);
  }

  add(id) {
    this.ids.add(id);
    this.#save();
  }

  remove(id) {
    if (this.ids.delete(id)) this.#save();
  }

  #save() {
    try {
      if (this.ids.size) this.storage.setItem(this.key, JSON.stringify([...this.ids]));
      else this.storage.removeItem(this.key);
    } catch {
      // a full storage: skipped until the page is left
    }
  }
}
