// Two people's work on one mask: what each changed since the version both began with.

/**
 * Return {labels, mine, theirs, both}: their mask with my changes on top, how many pixels each changed and how many of them
 * both did, differently. All maps have the same shape.
 */
export function merge(base, mine, theirs) {
  const labels = theirs.slice();
  const counts = { mine: 0, theirs: 0, both: 0 };
  for (let place = 0; place < base.length; place += 1) {
    const changed = mine[place] !== base[place];
    const moved = theirs[place] !== base[place];
    if (changed) {
      labels[place] = mine[place];
      counts.mine += 1;
    }
    if (moved) counts.theirs += 1;
    if (changed && moved && mine[place] !== theirs[place]) counts.both += 1;
  }
  return { labels, ...counts };
}

/** Return whether two maps hold the same. */
export function equal(one, other) {
  if (one.length !== other.length) return false;
  for (let place = 0; place < one.length; place += 1) if (one[place] !== other[place]) return false;
  return true;
}
