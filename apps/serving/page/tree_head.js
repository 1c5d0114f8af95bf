// What is said of a tree above its threads.

import { now } from "./api.js";
import { action_button, element, label_chips, replace_buttons, state_words } from "./dom.js";
import { fact_list } from "./facts.js";
import { clock_text, count, duration, none, problem } from "./format.js";

function tokens_of(tree) {
  let sum = 0;
  for (const thread of tree.threads.values()) sum += thread.tokens;
  return sum;
}

const is_ended = (tree) => tree.ended;

/// Before its turn it has none.
function wall_text(tree) {
  const ms = tree.ended ? tree.facts.usage?.wall_ms : tree.wall_ms(now());
  return ms > 0 ? duration(ms) : none;
}

/// Of a finished tree.
const usage = (label, name) => [label, ({ facts }) => count(facts.usage?.[name]), is_ended];

/// Above 2^53 JavaScript reads another number than was written.
const has_exact_seed = ({ facts }) => Number.isSafeInteger(facts.seed);

const figures = [
  ["Threads", (tree) => count(tree.threads.size)],
  ["Tokens", (tree) => count(tokens_of(tree))],
  usage("Critical path", "critical_path_tokens"),
  usage("Rounds", "rounds"),
  usage("Prompt", "prompt_tokens"),
  usage("From cache", "cached_tokens"),
  ["Wall time", wall_text],
  ["Weights", ({ facts }) => `epoch ${facts.weights_epoch}`],
  ["Seed", ({ facts }) => String(facts.seed), has_exact_seed],
  ["Created", ({ facts }) => clock_text(facts.created)],
];

function verdict_of({ solved, claimed }) {
  if (solved) return "solved";
  return claimed ? "claimed, but wrong" : "not solved";
}

export class tree_head {
  /// `back`: the address of the list; `act(action)` does something with the whole tree.
  constructor(tree, { back, act }) {
    this.tree = tree;
    this.act = act;
    this.state = element("span", { class: "tree-state" });
    this.verdict = element("p", { class: "verdict" });
    this.buttons = element("div", { class: "buttons" });
    this.trouble = element("div");
    this.refused = element("div"); // of what a person asked for
    this.facts = new fact_list(figures, "wide", this.id());
    const title = element(
      "div",
      { class: "title" },
      element("a", { class: "back", href: back, "aria-label": "Back to the trees" }, "Trees"),
      element("h1", {}, problem(tree.facts.problem)),
      this.state,
      this.verdict,
      element("span", { class: "labels" }, ...label_chips(tree.facts.labels)),
      this.buttons,
    );
    const troubles = element("div", {}, this.trouble, this.refused);
    this.node = element("div", { class: "tree-head" }, title, this.facts.node, troubles);
  }

  id() {
    const value = element("dd", { class: "mono id" }, this.tree.facts.id);
    return element("div", {}, element("dt", {}, "Id"), value);
  }

  draw() {
    const { state, facts } = this.tree;
    this.facts.update(this.tree);
    const key = `${state} ${facts.failure} ${JSON.stringify(facts.outcome)}`;
    if (this.drawn === key) return;
    this.drawn = key;
    this.state.replaceChildren(state_words(state, facts.failure));
    this.draw_verdict();
    this.draw_buttons();
  }

  draw_verdict() {
    const { outcome } = this.tree.facts;
    if (!this.tree.ended || !outcome) return this.verdict.replaceChildren();
    const look = outcome.solved ? "good" : "soft";
    const steps = outcome.operations ?? [];
    this.verdict.replaceChildren(
      element("span", { class: look }, verdict_of(outcome)),
      ...steps.map((operation) => element("code", { class: "operation" }, operation)),
    );
  }

  draw_buttons() {
    const actions = [this.tree.state === "paused" ? "resume" : "pause", "cancel"];
    const nodes = actions.map((action) => action_button(action, "tree", () => this.act(action)));
    replace_buttons(this.buttons, this.tree.ended ? [] : nodes);
  }
}
