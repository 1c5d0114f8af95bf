// The tree of threads, drawn.

import { keep, mark_shapes, say, set, shape, state_class } from "./dom.js";
import { count } from "./format.js";
import { layout } from "./layout.js";
import { ended, start_of, weight } from "./live_tree.js";

function curve(from, to) {
  const bend = (from.x + to.x) / 2;
  return `M${from.x} ${from.y}C${bend} ${from.y} ${bend} ${to.y} ${to.x} ${to.y}`;
}

/// The weight that is drawn largest. The root may weigh more; it changes in steps, so that one
/// growing thread does not resize all others all the time.
function scale_of(tree) {
  let top = 32;
  for (const thread of tree.threads.values()) {
    if (thread.parent || tree.threads.size === 1) while (weight(thread) > top) top *= 1.5;
  }
  return top;
}

function words_for(thread) {
  const why = thread.failure ? `, ${thread.failure.replaceAll("_", " ")}` : "";
  return `${thread.path}, ${thread.state}${why}, ${count(thread.tokens)} tokens`;
}

export class drawing {
  constructor(place, tree) {
    this.tree = tree;
    this.place = place;
    this.edges = shape("g", { class: "edges" });
    this.boxes = shape("g", { class: "boxes" });
    this.nodes = shape("g", { role: "presentation" });
    const layers = [this.edges, this.boxes, this.nodes];
    this.picture = shape("svg", { class: "drawing", role: "presentation" }, ...layers);
    place.replaceChildren(this.picture);
  }

  /// `restructured`: there are other threads than before, or there is other room for them.
  draw({ restructured, selected }) {
    if (restructured || !this.plan) this.arrange();
    const top = scale_of(this.tree);
    keep(this.nodes, this.tree.in_order(), {
      key: (thread) => thread.path,
      make: (thread) => this.make(thread),
      update: (node, thread) => this.update(node, thread, top, thread.path === selected),
    });
    this.drawn = true;
    keep(this.edges, this.lines(), {
      key: (line) => line.name,
      make: () => shape("path"),
      update: (node, line) => {
        set(node, "d", line.d);
        set(node, "class", line.look);
      },
    });
  }

  arrange() {
    this.plan = new layout(this.tree, this.place.clientWidth);
    set(this.picture, "width", Math.ceil(this.plan.width));
    set(this.picture, "height", Math.ceil(this.plan.height));
    keep(this.boxes, this.plan.boxes, {
      key: (box) => box.name,
      make: () => shape("rect", { rx: 6 }),
      update: (node, box) =>
        ["x", "y", "width", "height"].forEach((name) => set(node, name, box[name])),
    });
  }

  /// Those that lead to a solution last, above all others.
  lines() {
    const { places, boxes, edges } = this.plan;
    const to_boxes = boxes.map((box) => {
      const side = { x: box.x, y: box.y + box.height / 2 };
      return { name: `box ${box.name}`, look: "edge", d: curve(this.behind_label(box.from), side) };
    });
    const to_threads = edges.map(({ from, to }) => {
      const d = curve(places.get(from), places.get(to));
      return { name: to, look: this.look_of_edge(to), d };
    });
    const is_good = (line) => line.look === "edge good";
    const others = to_threads.filter((line) => !is_good(line));
    return [...others, ...to_boxes, ...to_threads.filter(is_good)];
  }

  look_of_edge(path) {
    const { state } = this.tree.threads.get(path);
    if (state === "done") return "edge good";
    return ended(state) ? "edge" : "edge live";
  }

  /// Where a line begins that a label would stand on.
  behind_label(path) {
    const place = this.plan.places.get(path);
    if (place.label !== "beside") return place;
    const letters = path.length + count(this.tree.threads.get(path).tokens).length;
    return { x: place.x + 32 + 7 * letters, y: place.y };
  }

  /// Those that come later are seen to come.
  make({ path, depth }) {
    const facts = { id: `node${path}`, "data-path": path, "data-new": this.drawn };
    const words = ["path", "start", "tokens"].map((look, i) =>
      shape("tspan", { class: look, dx: i ? 8 : 0 }),
    );
    return shape(
      "g",
      { role: "treeitem", "aria-level": depth + 1, ...facts },
      shape("title"),
      shape("circle", { class: "halo" }),
      shape("g", { class: "mark" }),
      shape("text", {}, ...words),
    );
  }

  update(node, thread, top, selected) {
    const place = this.plan.places.get(thread.path);
    const radius = Math.max(4, place.most * Math.sqrt(Math.min(1, weight(thread) / top)));
    const [title, halo, symbol, label] = node.children;
    const look = state_class(thread.state, thread.failure);
    set(node, "transform", `translate(${place.x} ${place.y})`);
    set(node, "class", `node ${look}${selected ? " selected" : ""}`);
    set(node, "aria-label", words_for(thread));
    set(node, "aria-selected", selected ? "true" : "false");
    say(title, words_for(thread));
    set(halo, "r", (radius + 4).toFixed(1));
    set(symbol, "transform", `scale(${(radius / 7).toFixed(3)})`);
    if (symbol.state !== thread.state) {
      symbol.replaceChildren(...mark_shapes((symbol.state = thread.state)));
    }
    this.update_label(label, thread, place.label, radius);
  }

  update_label(node, thread, place, radius) {
    const beside = place === "beside";
    set(node, "class", place);
    set(node, "x", beside ? (radius + 9).toFixed(1) : thread.depth ? 0 : -8);
    set(node, "y", beside ? 0 : -(radius + 8).toFixed(1));
    const [path, start, tokens] = node.children;
    say(path, thread.path);
    say(start, beside && !thread.children.length ? start_of(thread) : "");
    say(tokens, thread.tokens ? count(thread.tokens) : "");
  }

  node(path) {
    return this.nodes.known?.get(path);
  }
}
