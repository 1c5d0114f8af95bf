// All trees, those that run first, as they grow, then those that wait, then the finished ones; page
// by page.

import { ask, attempt, listen, now, paced } from "./api.js";
import { new_problem } from "./dialogs.js";
import { element, keep, label_chips, say, state_words } from "./dom.js";
import { age, clock_text, count, duration, none, problem, time } from "./format.js";
import { ended } from "./live_tree.js";

const page_size = 40;
const refresh_ms = 1000;
const age_ms = 5000;

const states = ["queued", "running", "paused", "done", "failed", "cancelled"];
const filters = {
  state: { "": "any state", ...Object.fromEntries(states.map((state) => [state, state])) },
  solved: { "": "solved or not", true: "solved", false: "not solved" },
};
const asked = ["state", "solved", "label"];

/// The list is one of these after the other, each newest first.
const parts = [["running", "paused"], ["queued"], ["done", "failed", "cancelled"]];

const columns = {
  state: "State",
  problem: "Problem",
  solved: "Solved",
  threads: "Threads",
  tokens: "Tokens",
  critical: "Critical path",
  wall: "Wall time",
  age: "Age",
  labels: "Labels",
};
const numbers = new Set(["threads", "tokens", "critical", "wall", "age"]);
const look_of = (name) => (numbers.has(name) ? `${name} number` : name);

function verdict_of({ outcome, state }) {
  if (!ended(state) || !outcome) return "";
  if (outcome.solved) return "solved";
  return outcome.claimed ? "claimed, wrong" : "not solved";
}

/// A tree's row, kept up to date.
class tree_row {
  constructor(tree) {
    this.link = element("a", { href: `#/tree/${tree.id}` }, problem(tree.problem));
    this.cells = {};
    for (const name in columns) this.cells[name] = element("td", { class: look_of(name) });
    this.cells.problem = element("th", { class: "problem", scope: "row" }, this.link);
    this.cells.labels.append(...label_chips(tree.labels));
    this.cells.age.title = clock_text(tree.created);
    this.node = element("tr", {}, ...Object.values(this.cells));
    this.node.row = this;
  }

  update(tree) {
    const { cells } = this;
    this.tree = tree;
    this.at = now();
    this.show_state();
    const verdict = verdict_of(tree);
    say(cells.solved, verdict);
    cells.solved.classList.toggle("good", verdict === "solved");
    cells.solved.classList.toggle("bad", verdict === "claimed, wrong");
    say(cells.threads, count(tree.usage?.threads));
    say(cells.tokens, count(tree.usage?.generated_tokens));
    say(cells.critical, ended(tree.state) ? count(tree.usage?.critical_path_tokens) : none);
    this.show_age();
  }

  show_state() {
    const { state, failure } = this.tree;
    const key = `${state} ${failure}`;
    if (this.shown !== key) this.cells.state.replaceChildren(state_words(state, failure));
    this.shown = key;
  }

  show_age() {
    const { state, usage, created } = this.tree;
    const more = state === "running" ? now() - this.at : 0;
    const ran = (usage?.wall_ms ?? 0) + more;
    say(this.cells.wall, ran > 0 ? duration(ran) : none);
    say(this.cells.age, age(now() - time(created)));
  }
}

class forest_view {
  title = "Trees";

  /// `from`: the tree that one comes back from.
  constructor(place, { from, ...params }) {
    this.from = from;
    this.params = params;
    this.build(place);
    this.pace = paced(() => this.refresh(), refresh_ms);
    this.pace.wish();
    this.ageing = setInterval(() => this.show_ages(), age_ms);
    this.stop_listening = listen("/v1/events", {
      hear: () => this.pace.wish(),
      missed: () => this.pace.wish(),
    });
  }

  close() {
    this.closed = true;
    clearInterval(this.ageing);
    this.pace.end();
    this.stop_listening();
  }

  step_back() {
    if (!this.is_first_page()) location.hash = this.address();
  }

  is_first_page() {
    return !this.params.after && !this.params.part;
  }

  // ---- what is on the page

  build(place) {
    this.summary = element("p", { class: "summary soft" });
    this.trouble = element("div");
    this.rows = element("tbody", {
      keydown: (event) => this.key(event),
      click: (event) => this.click(event),
    });
    this.empty = element("div", { class: "empty", hidden: true });
    this.pager = element("nav", { class: "pager", "aria-label": "Pages" });
    place.replaceChildren(this.bar(), this.trouble, this.table(), this.empty, this.pager);
  }

  bar() {
    const submit = {
      type: "button",
      class: "solid",
      "data-action": "new",
      click: () => this.submit(),
    };
    return element(
      "div",
      { class: "bar" },
      element("h1", {}, "Trees"),
      this.summary,
      this.filters(),
      element("button", submit, "New problem"),
    );
  }

  filters() {
    return element(
      "form",
      {
        class: "filters",
        role: "search",
        "aria-label": "Filters",
        submit: (event) => event.preventDefault(),
      },
      this.choice("state", "State"),
      this.choice("solved", "Solved"),
      this.label_filter(),
    );
  }

  choice(name, label) {
    const options = Object.entries(filters[name]).map(([value, words]) =>
      element("option", { value, selected: value === (this.params[name] ?? "") }, words),
    );
    const filter = ({ target }) => this.filter({ [name]: target.value });
    return element("select", { "aria-label": label, input: filter }, ...options);
  }

  label_filter() {
    return element("input", {
      type: "search",
      "aria-label": "Label",
      placeholder: "label: name=value",
      value: this.params.label ?? "",
      change: ({ target }) => this.filter({ label: target.value.trim() }),
    });
  }

  table() {
    const heads = Object.entries(columns).map(([name, words]) =>
      element("th", { class: look_of(name), scope: "col" }, words),
    );
    return element(
      "table",
      { class: "forest" },
      element("caption", { class: "unseen" }, "Trees: those that run first, then those that wait, then the finished ones, newest first"),
      element("thead", {}, element("tr", {}, ...heads)),
      this.rows,
    );
  }

  /// Of the same list from a place on: { part, after }, its part and the tree in front of it.
  address(place = {}) {
    const query = this.filter_query();
    for (const [name, value] of Object.entries(place)) if (value) query.set(name, value);
    return `#/${query.size ? `?${query}` : ""}`;
  }

  filter_query() {
    const query = new URLSearchParams();
    for (const name of asked) if (this.params[name]) query.set(name, this.params[name]);
    return query;
  }

  filter(changes) {
    Object.assign(this.params, changes);
    this.params.after = this.params.part = "";
    history.replaceState(null, "", this.address());
    this.pace.wish();
  }

  // ---- what the daemon says

  async refresh() {
    const refused = await attempt(this.trouble, async () => {
      const status = await ask("/v1/status");
      const page = await this.page(status.trees);
      if (!this.closed) this.show(page, status);
    });
    if (refused?.may_pass) this.pace.retry();
  }

  /// A page of the list, and the place of the next. `counts`: how many trees are in a live state.
  async page(counts) {
    const found = new Map(); // by id: one that changes its state meanwhile may come twice
    let { after = "" } = this.params;
    for (let part = this.first_part(); part < parts.length; ++part, after = "") {
      const states = this.states_of(part, counts);
      if (!states.length) continue;
      const room = page_size - found.size;
      const { trees, next } = await this.list(states, Math.max(1, room), after);
      const taken = trees.slice(0, room);
      for (const tree of taken) found.set(tree.id, tree);
      const more = next || trees.length > taken.length;
      if (more) return { trees: [...found.values()], next: { part, after: taken.at(-1)?.id } };
    }
    return { trees: [...found.values()], next: null };
  }

  /// Addresses are made up, too.
  first_part() {
    const part = Math.trunc(this.params.part) || 0;
    return Math.min(Math.max(0, part), parts.length - 1);
  }

  /// Nobody need ask for live trees of a state in which there are none.
  states_of(part, counts) {
    const { state } = this.params;
    const is_empty = (name) => !ended(name) && counts[name] === 0;
    return parts[part].filter((name) => (!state || name === state) && !is_empty(name));
  }

  list(states, limit, after) {
    const query = this.filter_query();
    query.set("state", states.join());
    query.set("limit", limit);
    if (after) query.set("after", after);
    return ask(`/v1/trees?${query}`);
  }

  show({ trees, next }, status) {
    this.show_summary(status);
    keep(this.rows, trees, {
      key: (tree) => tree.id,
      make: (tree) => new tree_row(tree).node,
      update: (node, tree) => node.row.update(tree),
    });
    this.rows.parentNode.hidden = !trees.length;
    this.empty.hidden = trees.length > 0;
    if (!trees.length) this.show_empty();
    this.show_pager(next);
    this.focus_where_one_left();
  }

  /// The store has trees of earlier daemons, too; the counts begin with this one.
  show_summary({ trees, store }) {
    const parts = ["running", "queued", "paused"].map((state) => `${count(trees[state])} ${state}`);
    parts.push(`${count(store.finished)} finished in the store`);
    parts.push(`since the start ${count(trees.finished)} finished, ${count(trees.solved)} solved`);
    say(this.summary, parts.join(" · "));
  }

  show_empty() {
    const filtered = asked.some((name) => this.params[name]);
    const all = element("a", { href: "#/" }, "Show all trees");
    this.empty.replaceChildren(
      element("p", {}, filtered ? "No tree is like that." : "No trees yet."),
      element("p", { class: "soft" }, filtered ? all : "Submit a problem here or on a terminal."),
    );
  }

  show_pager(next) {
    const link = (words, place) => element("a", { href: this.address(place) }, words);
    this.pager.replaceChildren(
      this.is_first_page() ? "" : link("First page"),
      next ? link("Next page", next) : "",
    );
  }

  show_ages() {
    for (const { row } of this.rows.children) row.show_age();
  }

  focus_where_one_left() {
    this.rows.known.get(this.from)?.row.link.focus();
    this.from = "";
  }

  // ---- what the user does

  key(event) {
    const links = [...this.rows.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    const last = links.length - 1;
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: last }[event.key];
    if (to === undefined || at < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    links[to]?.focus();
  }

  click(event) {
    if (event.target.closest("a") || getSelection().toString()) return;
    event.target.closest("tr")?.row.link.click();
  }

  async submit() {
    const id = await new_problem();
    if (id) location.hash = `#/tree/${id}`;
  }
}

export async function open_forest(params) {
  return (place) => new forest_view(place, params);
}
