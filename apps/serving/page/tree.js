// One tree: its figures, its threads drawn as a tree or over time, and the selected thread.

import {
  ask, attempt, error_line, listen, now, paced, regularly, tell, tell_daemon, tree_path,
} from "./api.js";
import { confirm_cancel } from "./dialogs.js";
import { element, mark } from "./dom.js";
import { drawing } from "./drawing.js";
import { problem } from "./format.js";
import { ended, live_tree } from "./live_tree.js";
import { thread_panel } from "./thread_panel.js";
import { timeline, timeline_legend } from "./timeline.js";
import { tree_head } from "./tree_head.js";

const frame_ms = 100;
const tick_ms = 500; // of what changes by itself: ages, the timeline's right end
const catch_up_ms = 500;
const try_again_ms = 2000;

const views = { tree: "Tree", timeline: "Timeline" };

function drawing_legend() {
  const states = ["queued", "decoding", "waiting", "paused", "done", "failed", "cancelled"];
  const entries = states.map((state) => element("span", {}, mark(state), state));
  return element("p", { class: "legend" }, ...entries, element("span", {}, "size: tokens"));
}

class tree_view {
  /// `back`: the address of the list; `thread` and `view`: what is shown first.
  constructor(place, tree, { back, thread, view }) {
    this.title = problem(tree.facts.problem);
    this.back = back;
    this.tree = tree;
    this.selected = tree.threads.has(thread) ? thread : "/";
    this.head = new tree_head(tree, { back, act: (action) => this.act(action, "/") });
    this.panel = new thread_panel({
      tree,
      choose: (path) => this.choose(path),
      act: (action, path) => this.act(action, path),
    });
    this.pace = paced(() => this.draw(), frame_ms);
    this.catching_up = paced(() => this.catch_up(), catch_up_ms);
    this.build(place);
    this.show(view in views ? view : "tree");
    this.choose(this.selected);
    this.follow();
  }

  follow() {
    this.resized = new ResizeObserver(() => this.fit());
    this.resized.observe(this.canvas);
    this.ticking = setInterval(() => this.tick(), tick_ms);
    this.listen();
  }

  close() {
    this.closed = true;
    clearInterval(this.ticking);
    this.resized.disconnect();
    this.pace.end();
    this.catching_up.end();
    this.panel.end();
    this.stop_listening?.();
  }

  // ---- what is on the page

  build(place) {
    this.tabs = Object.keys(views).map((name) => this.tab(name));
    this.legend = element("div", { class: "legend-place" });
    this.canvas = element("div", {
      class: "canvas",
      id: "canvas",
      tabindex: 0,
      role: "tree",
      "aria-label": "Threads",
      click: (event) => this.click(event),
      keydown: (event) => this.key(event),
      wheel: (event) => this.zoom_by_wheel(event),
    });
    const tabs = element(
      "div",
      {
        class: "tabs",
        role: "tablist",
        "aria-label": "How threads are shown",
        keydown: (event) => this.tab_key(event),
      },
      ...this.tabs,
    );
    const look = { class: "picture", "aria-label": "Threads" };
    const picture = element("section", look, tabs, this.canvas, this.legend);
    const panes = element("div", { class: "panes" }, picture, this.panel.node);
    place.replaceChildren(this.head.node, panes);
  }

  tab(name) {
    return element(
      "button",
      {
        type: "button",
        role: "tab",
        id: `tab-${name}`,
        "aria-controls": "canvas",
        click: () => this.show(name),
      },
      views[name],
    );
  }

  show(view) {
    this.view = view;
    for (const tab of this.tabs) {
      const selected = tab.id === `tab-${view}`;
      tab.setAttribute("aria-selected", selected);
      tab.tabIndex = selected ? 0 : -1;
    }
    const picture = view === "tree" ? drawing : timeline;
    this.picture = new picture(this.canvas, this.tree);
    this.legend.replaceChildren(view === "tree" ? drawing_legend() : timeline_legend());
    this.canvas.scrollTop = 0;
    this.remember();
    this.fit();
  }

  /// The address says what is shown, so that it can be kept and shared.
  remember() {
    const said = new URLSearchParams();
    if (this.selected !== "/") said.set("thread", this.selected);
    if (this.view !== "tree") said.set("view", this.view);
    const rest = said.size ? `?${said}` : "";
    history.replaceState(null, "", `#/tree/${this.tree.facts.id}${rest}`);
  }

  fit() {
    this.restructured = true;
    this.draw();
    this.reveal();
  }

  tick() {
    if (!this.tree.ended) this.pace.wish();
  }

  draw() {
    this.head.draw();
    this.picture.draw({ restructured: this.restructured, selected: this.selected });
    this.restructured = false;
    this.panel.draw();
  }

  // ---- which thread

  choose(path) {
    if (!this.tree.threads.has(path)) return;
    this.selected = path;
    this.panel.select(path);
    this.remember();
    this.draw();
    this.reveal();
  }

  /// Scrolls the picture, not the page.
  reveal() {
    const node = this.picture.node(this.selected);
    if (!node) return;
    this.canvas.setAttribute("aria-activedescendant", node.id);
    const box = node.getBoundingClientRect();
    const frame = this.canvas.getBoundingClientRect();
    const beyond = (low, high) => Math.min(0, low) || Math.max(0, high);
    this.canvas.scrollTop += beyond(box.top - frame.top - 34, box.bottom - frame.bottom + 16);
    if (box.width > frame.width) return; // the timeline, zoomed: it stays where it is looked at
    this.canvas.scrollLeft += beyond(box.left - frame.left - 16, box.right - frame.right + 16);
  }

  click(event) {
    const path = event.target.closest("[data-path]")?.dataset.path;
    if (path && !getSelection().toString()) this.choose(path);
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const path = this.next(event.key);
    if (this.picture.zoom_key?.(event.key)) this.fit();
    else if (event.key === "Enter") this.panel.text.focus();
    else if (path) this.choose(path);
    else return;
    event.preventDefault();
  }

  /// As in other pictures: with Ctrl, or two fingers. Without it the wheel scrolls.
  zoom_by_wheel(event) {
    if (!event.ctrlKey || !this.picture.zoom_to) return;
    event.preventDefault();
    this.picture.zoom_to(this.picture.zoom * 2 ** (-event.deltaY / 200), event.clientX);
    this.draw();
  }

  /// Where a key leads from the selected thread.
  next(key) {
    const thread = this.tree.threads.get(this.selected);
    if (!thread) return undefined;
    if (key === "ArrowRight") return thread.children[0];
    if (key === "ArrowLeft") return thread.parent;
    const order = this.tree.in_order();
    const at = order.indexOf(thread);
    const last = order.length - 1;
    const pages = { PageDown: 10, PageUp: -10, Home: -at, End: last - at };
    const steps = { ArrowDown: 1, ArrowUp: -1, ...pages };
    if (!(key in steps)) return undefined;
    return order[Math.min(last, Math.max(0, at + steps[key]))].path;
  }

  tab_key(event) {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    this.show(this.view === "tree" ? "timeline" : "tree");
    this.tabs.find((tab) => tab.tabIndex === 0).focus();
  }

  /// From the transcript to the tree, from there to the list.
  step_back() {
    if (this.panel.node.contains(document.activeElement)) this.canvas.focus();
    else location.hash = this.back;
  }

  // ---- what the daemon says

  listen() {
    if (this.tree.ended) return;
    this.stop_listening = listen(tree_path(this.tree.facts.id, "/events"), {
      hear: (kind, event) => this.hear(kind, event),
      missed: () => this.catching_up.wish(),
    });
  }

  hear(kind, event) {
    const at = Date.parse(event.at);
    const before = this.tree.state;
    this.held?.push([kind, event, at]);
    if (this.tree.hear(kind, event, at)) this.restructured = true;
    if (!this.panel.path) this.choose(this.selected); // the root has come
    if (this.tree.state !== before) tell(`The tree is ${this.tree.state}.`);
    if (kind === "thread" && event.thread === this.selected && ended(event.state)) {
      tell(`Thread ${event.thread} is ${event.state}.`);
    }
    if (kind === "done") this.finish(event.state);
    this.pace.wish();
  }

  finish(state) {
    this.over = state;
    this.stop_listening?.();
    this.catching_up.wish();
  }

  /// Takes the whole tree anew. What is heard meanwhile is heard once more afterwards: it may be
  /// older or newer than the answer. Where they differ it asks again.
  async catch_up() {
    this.held = [];
    const refused = await attempt(this.head.trouble, async () => {
      const tree = await whole_tree(this.tree.facts.id);
      if (!this.closed) this.take(tree);
    });
    this.held = null;
    if (this.closed) return;
    if (refused?.status === 404) this.stop_listening?.();
    if (refused?.may_pass) this.catching_up.retry();
    this.restructured = true;
    this.pace.wish();
  }

  take(tree) {
    this.tree.take_tree(tree, now());
    for (const said of this.held) this.tree.hear(...said);
    if (this.over) this.tree.state = this.over; // is told a moment before it is on record
    if (this.tree.state !== tree.state) this.catching_up.wish(); // which of the two is newer?
    if (this.tree.ended) this.stop_listening?.();
  }

  // ---- what the user does

  async act(action, path) {
    const live = this.tree.below(path).filter(({ state }) => !ended(state)).length;
    const name = problem(this.tree.facts.problem);
    if (action === "cancel" && !(await confirm_cancel({ path, live, name }))) return;
    this.head.refused.replaceChildren();
    this.panel.refused.replaceChildren();
    try {
      const body = path === "/" ? {} : { thread: path };
      const tree = await tell_daemon(tree_path(this.tree.facts.id, `/${action}`), body);
      if (this.closed) return;
      tell(`${path === "/" ? "Tree" : `Thread ${path}`}: ${action} accepted.`);
      if (ended(tree.state)) this.finish(tree.state);
      else this.catching_up.wish();
    } catch (error) {
      const part = path === "/" ? this.head : this.panel;
      part.refused.replaceChildren(error_line(error));
    }
  }
}

class missing_tree {
  /// `again`: makes the view anew.
  constructor(place, error, { id, back, again }) {
    Object.assign(this, { id, error, back, again });
    this.title = error.status ? "No tree" : "No daemon";
    if (error.may_pass) this.stop_asking = regularly(() => this.look(), try_again_ms);
    const title = element("h1", {}, error.status ? "No tree to see here" : "The daemon does not answer");
    const way = element("p", {}, element("a", { href: back }, "All trees"));
    place.replaceChildren(element("div", { class: "empty" }, title, error_line(error), way));
  }

  step_back() {
    location.hash = this.back;
  }

  /// As long as the daemon says the same, what is here stays, and so does the focus.
  async look() {
    const error = await ask(tree_path(this.id)).then(() => null, (error) => error);
    if (this.closed || error?.status === this.error.status) return;
    this.close();
    this.again();
  }

  close() {
    this.closed = true;
    this.stop_asking?.();
  }
}

/// A tree with all its threads; of a large one they come in parts.
async function whole_tree(id) {
  const tree = await ask(tree_path(id));
  for (let next = tree.threads_next; next; ) {
    const part = await ask(tree_path(id, `?threads_after=${encodeURIComponent(next)}`));
    tree.threads.push(...part.threads);
    next = part.threads_next;
  }
  return tree;
}

/// Returns how to make the view, once there is something to see.
export async function open_tree({ id, ...params }) {
  try {
    const tree = new live_tree(await whole_tree(id), now());
    return (place) => new tree_view(place, tree, params);
  } catch (error) {
    return (place) => new missing_tree(place, error, { id, ...params });
  }
}
