// One thread: its figures, what can be done with it, and its text as it is being written.

import { ask, attempt, now, regularly, tree_path } from "./api.js";
import { action_button, element, replace_buttons, say, state_words } from "./dom.js";
import { fact_list } from "./facts.js";
import { age, count, hour_text, none } from "./format.js";
import { ended } from "./live_tree.js";
import { transcript } from "./transcript.js";

const look_again_ms = 1000;
const most_named = 9;

function pool_text({ pool, node }) {
  return node && node !== "local" ? `${pool} on ${node}` : pool || none;
}

function cache_text({ live, cache }) {
  return live && cache ? `${count(cache.blocks)}${cache.leased ? " leased" : ""}` : none;
}

function budget_text({ live, budget_left }) {
  if (!live || !budget_left) return none;
  const { tokens, rounds, seconds } = budget_left;
  const part = (n, name) => (typeof n === "number" ? `${count(n)} ${name}` : `any ${name}`);
  return [part(tokens, "tokens"), part(rounds, "rounds"), part(seconds, "s")].join(" · ");
}

const figures = [
  ["Tokens", ({ tokens }) => count(tokens)],
  ["Prompt", ({ facts }) => count(facts?.prompt_tokens)],
  ["Rounds", ({ facts }) => count(facts?.rounds)],
  ["Pool", ({ facts }) => pool_text(facts ?? {})],
  ["Blocks", ({ facts }) => cache_text(facts ?? {})],
  ["Budget left", ({ facts }) => budget_text(facts ?? {})],
];

export class thread_panel {
  /// `choose(path)` selects another thread; `act(action, path)` does something with one.
  constructor({ tree, choose, act }) {
    Object.assign(this, { tree, choose, act });
    this.title = element("h2");
    this.state = element("span", { class: "since" });
    this.buttons = element("div", { class: "buttons" });
    this.facts = new fact_list(figures);
    this.waiting = element("p", { class: "waiting-for" });
    this.trouble = element("div");
    this.refused = element("div"); // of what a person asked for
    this.text = element("div", { class: "transcript", tabindex: 0, role: "region" });
    this.node = element(
      "section",
      { class: "panel", "aria-label": "Selected thread" },
      element("div", { class: "panel-head" }, this.title, this.state, this.buttons),
      this.facts.node,
      this.waiting,
      this.trouble,
      this.refused,
      this.text,
    );
    const has_thread = (path) => tree.threads.has(path);
    this.writer = new transcript(this.text, { choose, has_thread });
    this.end = () => {};
  }

  select(path) {
    this.path = path;
    const trouble = element("div"); // what is still asked of the thread before has its own
    this.trouble.replaceChildren(trouble);
    this.refused.replaceChildren();
    this.end();
    this.end = regularly(() => this.look(trouble), look_again_ms);
  }

  /// Asks for what events do not tell.
  async look(trouble) {
    const { path } = this;
    const query = `?path=${encodeURIComponent(path)}`;
    const refused = await attempt(trouble, async () => {
      const said = await ask(tree_path(this.tree.facts.id, `/threads${query}`));
      if (path === this.path) this.take(said);
    });
    if (refused?.status === 404 && path === this.path) this.end();
  }

  take(said) {
    const thread = this.tree.threads.get(said.path);
    if (!thread) return;
    thread.facts = said;
    if (thread.torn || ended(said.state)) this.tree.take(said);
    if (ended(said.state)) this.end();
    this.draw();
  }

  draw() {
    const thread = this.tree.threads.get(this.path);
    if (!thread) return;
    say(this.title, `Thread ${thread.path}`);
    this.text.setAttribute("aria-label", `Transcript of thread ${thread.path}`);
    this.facts.update(thread);
    this.draw_state(thread);
    this.draw_waiting(thread);
    this.draw_buttons(thread);
    this.writer.show(thread, this.tree.facts.prompt);
  }

  draw_state(thread) {
    const key = `${thread.state} ${thread.failure}`;
    if (this.state.key !== key) {
      const words = state_words(thread.state, thread.failure);
      this.state.replaceChildren(words, element("span", { class: "soft" }));
      this.state.key = key;
    }
    const { since } = thread;
    const when = ended(thread.state) ? `at ${hour_text(since)}` : `for ${age(now() - since)}`;
    say(this.state.lastChild, Number.isFinite(since) ? when : "");
  }

  draw_waiting(thread) {
    const is_live = (path) => !ended(this.tree.threads.get(path).state);
    const paths = thread.state === "waiting" ? thread.children.filter(is_live) : [];
    const key = paths.join(" ");
    if (this.waiting.key === key) return;
    this.waiting.key = key;
    const rest = paths.length - most_named;
    this.waiting.replaceChildren(
      paths.length ? "Waits for " : "",
      ...paths.slice(0, most_named).map((path) => this.way_to(path)),
      rest > 0 ? ` and ${rest} more` : "",
    );
  }

  way_to(path) {
    const jump = () => this.choose(path);
    return element("button", { class: "jump", type: "button", click: jump }, path);
  }

  /// For the root there are those of the whole tree.
  draw_buttons(thread) {
    const { path } = thread;
    const live = this.tree.below(path).filter(({ state }) => !ended(state));
    const paused = live.some(({ state }) => state === "paused");
    const none_of_ours = path === "/" || !live.length || this.tree.ended;
    const actions = none_of_ours ? [] : [paused ? "resume" : "pause", "cancel"];
    const what = thread.children.length ? "subtree" : "thread";
    const key = `${path} ${actions} ${what}`;
    if (this.buttons.key === key) return;
    this.buttons.key = key;
    replace_buttons(
      this.buttons,
      actions.map((action) => action_button(action, what, () => this.act(action, path))),
    );
  }
}
