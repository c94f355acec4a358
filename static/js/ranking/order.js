/**
 * A ranking under way, as pure functions on values: no page, no storage.
 *
 * An order is a list of places, best first; a place is a list of ids that are tied.
 * Each function returns a new order and leaves the one it was given alone.
 */

/** The order without empty places. */
const dense = (order) => order.filter((place) => place.length > 0);

/** The index of the place that holds `id`, or -1. */
export const placeOf = (order, id) => order.findIndex((place) => place.includes(id));

/** How many ids have a place. */
export const placed = (order) => order.reduce((sum, place) => sum + place.length, 0);

/** The order without `id`. */
export const take = (order, id) => dense(order.map((place) => place.filter((other) => other !== id)));

/** `id` at the next free place, or tied with the last one. */
export function append(order, id, tie = false) {
  const rest = take(order, id);
  if (tie && rest.length > 0) {
    return [...rest.slice(0, -1), [...rest.at(-1), id]];
  }
  return [...rest, [id]];
}

/** `id` in a place of its own before the place at `index` (after the last one for `order.length`). */
export function insert(order, id, index) {
  const next = order.map((place) => place.filter((other) => other !== id));
  next.splice(index, 0, [id]);
  return dense(next);
}

/** `id` tied with the place at `index`. */
export function join(order, id, index) {
  if (order[index]?.includes(id)) return order;
  return dense(
    order.map((place, at) =>
      at === index ? [...place, id] : place.filter((other) => other !== id),
    ),
  );
}

/**
 * `id` one step up (-1) or down (1). One that is tied leaves its tie first; one that stands alone
 * changes places with its neighbour.
 */
export function step(order, id, by) {
  const from = placeOf(order, id);
  if (from < 0) return order;
  if (order[from].length > 1) return insert(order, id, by < 0 ? from : from + 1);
  const to = from + by;
  if (to < 0 || to >= order.length) return order;
  const next = [...order];
  [next[from], next[to]] = [next[to], next[from]];
  return next;
}

/** `id` tied with the place above it; where it is tied already, in a place of its own below. */
export function toggleTie(order, id) {
  const at = placeOf(order, id);
  if (at < 0) return order;
  if (order[at].length > 1) return insert(order, id, at + 1);
  return at === 0 ? order : join(order, id, at - 1);
}

/** The ids that came or went from one order to the other; where none did, those whose place differs. */
export function movedBetween(before, after) {
  const all = [...new Set([...before.flat(), ...after.flat()])];
  const comeOrGone = all.filter((id) => placeOf(before, id) < 0 !== placeOf(after, id) < 0);
  if (comeOrGone.length > 0) return comeOrGone;
  const others = (order, id) => String([placeOf(order, id), [...order[placeOf(order, id)]].sort()]);
  return all.filter((id) => others(before, id) !== others(after, id));
}

/** {id: rank}, 1 is best, dense, equal ranks are ties. */
export function ranks(order) {
  return Object.fromEntries(order.flatMap((place, at) => place.map((id) => [id, at + 1])));
}

/** The order that `known` ids have by {id: rank}; ids without a rank are left out. */
export function fromRanks(byId, known) {
  const places = new Map();
  for (const id of known) {
    const rank = Number(byId[id]);
    if (rank >= 1) places.set(rank, [...(places.get(rank) ?? []), id]);
  }
  return [...places.keys()].sort((a, b) => a - b).map((rank) => places.get(rank));
}
