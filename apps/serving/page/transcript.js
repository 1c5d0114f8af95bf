// A thread's text, part by part: what it was given, what it wrote, whom it called, what came back.

import { element, say } from "./dom.js";

const meanings = {
  prompt: "given to the thread",
  written: "sampled by the model",
  spawn: "asks for children; replaced when they have answered",
  joined: "what the children gave back",
};

const openings = { "<Calling Sub Searches>": "spawn", "<Sub Searches>": "joined" };
const endings = { spawn: "<End Calling Sub Searches>", joined: "<End Sub Searches>" };
const prompt_line = /^(Moving to Node|Current State:|[A-Za-z ]*Budget:)/;
const child_line = /Sub Search (\d+) at level/;

/// How many lines are prompt. A root's prompt is known; a child's ends with its state.
function prompt_lines(texts, prompt) {
  if (prompt) return prompt.split("\n").length - 1;
  const state = texts.findIndex((text) => text.startsWith("Current State:"));
  const other = texts.findIndex((text) => !prompt_line.test(text));
  if (other < 0) return texts.length;
  return state < 0 ? other : Math.min(state + 1, other);
}

/// [{ kind, text }], one a line.
function lines_of(text, prompt) {
  const texts = text.split("\n");
  if (texts.at(-1) === "") texts.pop();
  const given = prompt_lines(texts, prompt);
  let kind = "written";
  return texts.map((text, i) => {
    if (i < given) return { kind: "prompt", text };
    if (kind === "written") kind = openings[text] ?? kind;
    const line = { kind, text };
    if (text === endings[kind]) kind = "written";
    return line;
  });
}

/// Adds to lines that speak of a child which one it is: later rounds go on counting where the
/// first ended.
function point_to_children(lines, path) {
  const start = path === "/" ? "/" : `${path}/`;
  let first = 0, most = 0;
  for (const line of lines) {
    if (line.kind === "written") {
      first += most;
      most = 0;
      continue;
    }
    const found = line.kind !== "prompt" && child_line.exec(line.text);
    if (!found) continue;
    line.child = start + (first + Number(found[1]));
    most = Math.max(most, Number(found[1]) + 1);
  }
}

function look_of({ text }) {
  if (/: Goal Reached$|^<Goal Reached/.test(text)) return "line goal";
  if (text.startsWith("Moving to Node")) return "line move";
  if (/: No Solution$|^<|^No solution/.test(text)) return "line quiet";
  return "line";
}

/// Shows one thread's text in `place` and keeps up with it: lines that stay the same keep their
/// nodes, and with them what the reader selected.
export class transcript {
  /// `choose(path)` is called for a child that the reader wants to see.
  constructor(place, { choose, has_thread }) {
    Object.assign(this, { place, choose, has_thread });
    this.shown = []; // lines, with their nodes
    this.path = null;
    place.addEventListener("scroll", () => (this.follows = this.is_at_end()), { passive: true });
  }

  is_at_end() {
    return this.place.scrollHeight - this.place.scrollTop - this.place.clientHeight < 24;
  }

  /// `prompt`: the root's.
  show(thread, prompt) {
    if (thread.path !== this.path) this.begin(thread);
    const lines = lines_of(thread.text, thread.path === "/" ? prompt : "");
    point_to_children(lines, thread.path);
    this.update(lines);
    this.place.classList.toggle("writing", thread.state === "decoding");
    if (this.follows) this.place.scrollTop = this.place.scrollHeight;
  }

  begin({ path, state }) {
    this.place.replaceChildren();
    this.place.scrollTop = 0;
    this.shown = [];
    this.path = path;
    this.follows = state === "decoding" || state === "waiting";
  }

  update(lines) {
    let same = 0;
    while (same < lines.length && this.is_same(lines[same], this.shown[same])) ++same;
    if (same < lines.length && this.grow(this.shown[same], lines[same])) ++same;
    for (const line of this.shown.splice(same)) this.drop(line);
    for (const line of lines.slice(same)) this.add(line);
  }

  is_same(line, shown) {
    if (line.kind !== shown?.kind || line.text !== shown.text) return false;
    return !line.child || shown.linked || !this.has_thread(line.child);
  }

  /// The line that is being written grows in its place. Returns whether it is that one.
  grow(shown, { kind, text, child }) {
    if (kind !== shown?.kind || !text.startsWith(shown.text) || child) return false;
    say(shown.node.firstChild, text);
    shown.node.className = look_of({ text });
    shown.text = text;
    return true;
  }

  drop({ node }) {
    const body = node.parentNode;
    node.remove();
    if (!body.firstChild) body.parentNode.remove();
  }

  add(line) {
    const before = this.shown.at(-1);
    const body = before?.kind === line.kind ? before.node.parentNode : this.open_part(line.kind);
    line.node = element("div", { class: look_of(line) }, element("span", {}, line.text));
    line.linked = Boolean(line.child) && this.has_thread(line.child);
    if (line.linked) line.node.append(this.way_to(line.child));
    body.append(line.node);
    this.shown.push(line);
  }

  way_to(child) {
    const words = `Show thread ${child}`;
    const facts = { class: "jump", type: "button", "aria-label": words };
    return element("button", { ...facts, click: () => this.choose(child) }, child);
  }

  open_part(kind) {
    const meaning = meanings[kind];
    const name = { class: "part-name", title: meaning, "aria-hidden": "true" };
    const body = element("div", { class: "lines" });
    const part = { class: `part ${kind}`, "aria-label": `${kind}: ${meaning}` };
    this.place.append(element("section", part, element("span", name, kind), body));
    return body;
  }
}
