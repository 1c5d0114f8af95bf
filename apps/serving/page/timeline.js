// A tree over time: a row for each thread, from its start to its end.

import { now } from "./api.js";
import { element, keep, mark_shapes, say, set, shape, state_class } from "./dom.js";
import { count, duration } from "./format.js";
import { ended } from "./live_tree.js";

const gutter = 84, right = 64, row = 22, least_width = 300;
const most_zoom = 32;

/// 1, 2 or 5 times a power of ten, so that there are at most `most` of them in `span`.
function round_step(span, most) {
  const power = 10 ** Math.floor(Math.log10(span / most));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= span / most);
}

/// A time on the axis, in the unit of its steps.
function tick_text(at, step) {
  if (step >= 60000) return `${+(at / 60000).toFixed(1)} min`;
  return step >= 100 ? `${+(at / 1000).toFixed(1)} s` : `${+at.toFixed(3)} ms`;
}

/// Where a live tree's axis ends: in steps, so that rows do not move all the time.
function room_for(span) {
  let room = 1000;
  while (room < span) room *= 1.4;
  return room;
}

/// What a thread did when: [{ state, from, to }], without its end. Where nobody wrote it down,
/// one stretch of which nothing is known.
function stretches_of({ history, state }, began, until) {
  if (history.length === 1 && ended(state)) {
    return [{ state: "unknown", from: began, to: history[0].at }];
  }
  const stretch = ({ state, at }, i) => ({ state, from: at, to: history[i + 1]?.at ?? until });
  return history.map(stretch).filter(({ state }) => !ended(state));
}

/// When the first thread did anything but wait for its turn; where nobody wrote that down, when
/// the tree was created.
function begin_of(threads, created) {
  const marks = threads.flatMap(({ history }) => history);
  const worked = marks.filter(({ state }) => state === "decoding").map(({ at }) => at);
  return worked.length ? Math.min(...worked) : Math.min(created, ...marks.map(({ at }) => at));
}

// ---- what it is drawn with

const heights = { decoding: 10, paused: 10, unknown: 6, waiting: 3, queued: 1.5 };

function bar(state, x, width, middle) {
  const height = heights[state];
  return {
    tag: "rect",
    class: `stretch ${state}`,
    x: x.toFixed(1),
    y: middle - height / 2,
    width: width.toFixed(1),
    height,
  };
}

const spawn_mark = (x, middle) => triangle("spawn-mark", "M-4-7h8l-4 6z", x, middle);
const join_mark = (x, middle) => triangle("join-mark", "M-4 7h8l-4-6z", x, middle);

function triangle(look, d, x, middle) {
  return { tag: "path", class: look, d, transform: `translate(${x.toFixed(1)} ${middle})` };
}

function draw({ tag, ...facts }) {
  return shape(tag, facts);
}

export function timeline_legend() {
  const entry = (words, part) => {
    const view = { class: "sample", viewBox: "0 0 24 14", "aria-hidden": "true" };
    return element("span", {}, shape("svg", view, draw(part)), words);
  };
  return element(
    "p",
    { class: "legend" },
    entry("decoding", bar("decoding", 0.5, 23, 7)),
    entry("waiting for children", bar("waiting", 0.5, 23, 7)),
    entry("queued", bar("queued", 0.5, 23, 7)),
    entry("paused", bar("paused", 0.5, 23, 7)),
    entry("spawn", spawn_mark(12, 11)),
    entry("join", join_mark(12, 3)),
    element("span", {}, "zoom: + − 0, Ctrl and the wheel"),
  );
}

// ---- the timeline

export class timeline {
  constructor(place, tree) {
    this.tree = tree;
    this.place = place;
    this.zoom = 1;
    this.before = element("p", { class: "before" });
    this.axis = shape("svg", { class: "axis", height: 26, "aria-hidden": "true" });
    this.grid = shape("g", { class: "grid" });
    this.links = shape("g", { class: "links" });
    this.rows = shape("g", { role: "presentation" });
    const layers = [this.grid, this.links, this.rows];
    this.picture = shape("svg", { class: "timeline", role: "presentation" }, ...layers);
    place.replaceChildren(this.before, this.axis, this.picture);
    place.onscroll = () => this.keep_names();
    this.keep_names();
  }

  // ---- zoom

  /// Of so many times the width; what is at `client_x`, or else in the middle, stays there.
  zoom_to(zoom, client_x) {
    const { left, width } = this.place.getBoundingClientRect();
    const at = (client_x ?? left + width / 2) - left;
    const share = (this.place.scrollLeft + at - gutter) / (this.width - gutter - right);
    this.zoom = Math.min(most_zoom, Math.max(1, zoom));
    this.set_width();
    set(this.picture, "width", this.width);
    this.place.scrollLeft = share * (this.width - gutter - right) + gutter - at;
  }

  /// Whether the key means a zoom.
  zoom_key(key) {
    const factor = { "+": 1.5, "=": 1.5, "-": 1 / 1.5, 0: 0 }[key];
    if (factor === undefined) return false;
    this.zoom_to(this.zoom * factor);
    return true;
  }

  set_width() {
    this.width = this.zoom * Math.max(least_width, this.place.clientWidth);
  }

  /// The threads' names stand still while their bars are scrolled under them.
  keep_names() {
    this.place.style.setProperty("--scrolled", `${this.place.scrollLeft}px`);
  }

  // ---- drawing

  draw({ selected }) {
    const threads = this.tree.in_order();
    this.middles = new Map(threads.map(({ path }, i) => [path, i * row + row / 2]));
    this.measure(threads);
    this.draw_axis(threads.length * row + 8);
    this.draw_links(threads.filter((thread) => thread.parent));
    keep(this.rows, threads, {
      key: (thread) => thread.path,
      make: (thread) => this.make(thread),
      update: (node, thread) => this.update(node, thread, thread.path === selected),
    });
  }

  measure(threads) {
    const times = threads.flatMap(({ history }) => history.map(({ at }) => at));
    const latest = Math.max(...times);
    const created = Date.parse(this.tree.facts.created);
    this.began = begin_of(threads, created);
    this.until = this.tree.ended ? latest : Math.max(latest, now());
    const waited = this.began - created;
    say(this.before, waited >= 100 ? `Queued for ${duration(waited)} before this.` : "");
    const span = this.until - this.began;
    this.span = this.tree.ended ? Math.max(1, span) : room_for(span);
    this.set_width();
  }

  /// What was before is at the begin.
  x(at) {
    return gutter + ((Math.max(at, this.began) - this.began) / this.span) * (this.width - gutter - right);
  }

  draw_axis(height) {
    set(this.axis, "width", this.width);
    set(this.picture, "width", this.width);
    set(this.picture, "height", height);
    const step = round_step(this.span, Math.max(2, (this.width - gutter) / 110));
    const ticks = Array.from({ length: Math.floor(this.span / step) + 1 }, (_, i) => i * step);
    const key = (at) => tick_text(at, step);
    const x = (at) => this.x(this.began + at).toFixed(1);
    keep(this.axis, ticks, {
      key,
      make: (at) => shape("text", { y: 17 }, key(at)),
      update: (node, at) => set(node, "x", x(at)),
    });
    keep(this.grid, ticks, {
      key,
      make: () => shape("path"),
      update: (node, at) => set(node, "d", `M${x(at)} 0V${height}`),
    });
  }

  /// From a parent down to where its child starts.
  draw_links(children) {
    keep(this.links, children, {
      key: (thread) => thread.path,
      make: () => shape("path"),
      update: (node, { path, parent, history }) => {
        const x = this.x(history[0]?.at ?? this.began).toFixed(1);
        set(node, "d", `M${x} ${this.middles.get(parent)}V${this.middles.get(path)}`);
      },
    });
  }

  make({ path, depth }) {
    const indent = 10 + Math.min(depth, 4) * 6;
    return shape(
      "g",
      { role: "treeitem", id: `row${path}`, "data-path": path, "aria-level": depth + 1 },
      shape("title"),
      shape("rect", { class: "band", x: 2, y: 1, height: row - 2, rx: 4 }),
      shape("g"),
      shape("g"),
      shape("text", { class: "tokens", y: row / 2 }),
      shape("rect", { class: "back", x: 3, y: 2, width: gutter - 8, height: row - 4 }),
      shape("text", { class: "path", x: indent, y: row / 2 }, path),
    );
  }

  update(node, thread, selected) {
    const stretches = stretches_of(thread, this.began, this.until);
    const [title, band, bars] = node.children;
    const words = this.words_for(thread, stretches);
    const look = state_class(thread.state, thread.failure);
    set(node, "transform", `translate(0 ${this.middles.get(thread.path) - row / 2})`);
    set(node, "class", `row ${look}${selected ? " selected" : ""}`);
    set(node, "aria-label", words);
    set(node, "aria-selected", selected ? "true" : "false");
    say(title, words);
    set(band, "width", this.width - 4);
    this.draw_stretches(bars, stretches);
    this.draw_end(node, thread, stretches);
  }

  words_for({ path, state, tokens }, stretches) {
    const from = duration(Math.max(0, stretches[0]?.from - this.began));
    const to = duration(stretches.at(-1)?.to - this.began);
    return `${path}, ${state}, ${from} to ${to}, ${count(tokens)} tokens`;
  }

  draw_stretches(place, stretches) {
    const parts = stretches.flatMap((stretch, i) => this.parts_of(stretch, stretches[i + 1]));
    keep(place, parts.map((part, i) => ({ key: `${i} ${part.class}`, part })), {
      key: ({ key }) => key,
      make: ({ part }) => draw(part),
      update: (node, { part: { tag, ...facts } }) => {
        for (const name in facts) set(node, name, facts[name]);
      },
    });
  }

  /// A stretch of waiting begins with a spawn and ends with a join.
  parts_of({ state, from, to }, next) {
    if (to < this.began) return [];
    const begin = this.x(from), end = this.x(to), middle = row / 2;
    const parts = [bar(state, begin, Math.max(1, end - begin), middle)];
    if (state === "waiting") parts.push(spawn_mark(begin, middle));
    if (state === "waiting" && next?.state === "decoding") parts.push(join_mark(end, middle));
    return parts;
  }

  draw_end(node, { state, tokens }, stretches) {
    const [, , , symbol, figure] = node.children;
    const end = this.x(stretches.at(-1)?.to ?? this.began);
    set(symbol, "transform", `translate(${(end + 9).toFixed(1)} ${row / 2}) scale(.72)`);
    if (symbol.state !== state) symbol.replaceChildren(...mark_shapes((symbol.state = state)));
    set(figure, "x", (end + 20).toFixed(1));
    say(figure, tokens ? count(tokens) : "");
  }

  node(path) {
    return this.rows.known?.get(path);
  }
}
