// Where the threads of a tree are drawn. Knows nothing of the page.

const margin = { left: 30, right: 16, top: 34, bottom: 20 };
const label_room = 170;
const packed_column = 112;

/// More rows than this are packed; the more rows, the shorter the runs that are.
function packed_run(rows) {
  if (rows <= 40) return Infinity;
  return rows <= 120 ? 4 : 2;
}

function pitch_of(rows) {
  if (rows <= 14) return 34;
  return rows <= 24 ? 28 : 22;
}

/// Roots to the left, children to the right. Threads without children stand in rows, or side by
/// side in boxes where there are too many of them for that.
export class layout {
  places = new Map(); // path: { x, y, most: the largest radius, label: beside | above | gone }
  edges = []; // { from, to }: paths
  boxes = []; // { name, from: path, x, y, width, height }

  /// `room`: the width there is.
  constructor(tree, room) {
    const threads = [...tree.threads.values()];
    const rows = threads.filter((thread) => !thread.children.length).length;
    const depth = Math.max(1, ...threads.map((thread) => thread.depth));
    this.tree = tree;
    this.room = room;
    this.run = packed_run(rows);
    this.pitch = pitch_of(rows);
    this.cell = rows <= 120 ? 20 : 16;
    this.column = this.run < rows ? packed_column : this.fitting_column(depth);
    this.y = margin.top;
    this.widest = 0;
    if (tree.root) this.put(tree.root);
    this.width = this.widest + margin.right;
    this.height = this.y + margin.bottom;
  }

  fitting_column(depth) {
    const width = (this.room - margin.left - margin.right - label_room) / depth;
    return Math.min(240, Math.max(96, width));
  }

  /// Places a thread and all below it; returns its y.
  put(thread) {
    if (!thread.children.length) return this.stand(thread, this.y + this.pitch / 2);
    const { middles, boxed } = this.put_children(thread);
    const y = Math.max((middles[0] + middles.at(-1)) / 2, margin.top);
    return this.place(thread, y, boxed ? "beside" : "above");
  }

  /// A thread in a row of its own.
  stand(thread, y) {
    this.y += this.pitch;
    this.widest = Math.max(this.widest, this.x_of(thread) + label_room);
    return this.place(thread, y, "beside");
  }

  place(thread, y, label) {
    const most = Math.min(15, this.pitch / 2 - 1);
    this.places.set(thread.path, { x: this.x_of(thread), y, most, label });
    return y;
  }

  x_of(thread) {
    return margin.left + thread.depth * this.column;
  }

  /// Returns where they are, and whether all are in one box.
  put_children(thread) {
    const children = thread.children.map((path) => this.tree.threads.get(path));
    const middles = [];
    let boxed = false;
    for (let i = 0; i < children.length; ) {
      let end = i;
      while (end < children.length && !children[end].children.length) ++end;
      if (end - i >= this.run) {
        middles.push(this.pack(children.slice(i, end), thread));
        boxed = end - i === children.length;
        i = end;
      } else {
        this.edges.push({ from: thread.path, to: children[i].path });
        middles.push(this.put(children[i++]));
      }
    }
    return { middles, boxed };
  }

  /// Puts threads without children side by side; returns the y of their middle.
  pack(group, parent) {
    const x = this.x_of(group[0]) - this.cell / 2;
    const fitting = Math.max(6, Math.floor((this.room - margin.right - x - 8) / this.cell));
    const rows = Math.ceil(group.length / fitting);
    const columns = Math.ceil(group.length / rows);
    group.forEach((thread, i) => this.put_in_cell(thread, x, i % columns, Math.floor(i / columns)));
    const [width, height] = [columns * this.cell + 6, rows * this.cell + 6];
    const box = { x: x - 3, y: this.y, width, height };
    this.boxes.push({ name: group[0].path, from: parent.path, ...box });
    this.widest = Math.max(this.widest, x + box.width);
    this.y += box.height + 6;
    return box.y + box.height / 2;
  }

  put_in_cell(thread, x, column, row) {
    this.places.set(thread.path, {
      x: x + (column + 0.5) * this.cell,
      y: this.y + 3 + (row + 0.5) * this.cell,
      most: this.cell / 2 - 1.5,
      label: "gone",
    });
  }
}
