// What the devices do, and what the daemon has done altogether.

import { ask, attempt, regularly } from "./api.js";
import { element, keep, say, set, shape } from "./dom.js";
import { fact_list } from "./facts.js";
import { bytes, count, duration, none, plural, rate, share } from "./format.js";

const poll_ms = 1000;
const remembered = 90; // polls

const figures = [
  ["Running batch", ({ pool }) => count(pool.running)],
  ["Queued", ({ pool }) => count(pool.queued)],
  ["Tokens/s", ({ speed }) => rate(speed.generated_tokens)],
  ["Steps/s", ({ speed }) => rate(speed.steps)],
  ["Busy", ({ speed }) => share(speed.busy_s, 1)],
  ["Outside the model", ({ speed }) => share(speed.busy_s - speed.forward_s, speed.busy_s)],
  ["Prompt from cache", ({ pool }) => share(pool.cached_tokens, pool.prompt_tokens)],
  ["Requests done", ({ pool }) => count(pool.finished)],
  ["Requests broken off", ({ pool }) => count(pool.cancelled)],
  ["Requests failed", ({ pool }) => count(pool.failed), ({ pool }) => pool.failed > 0],
];

const uses = {
  leased: "leased by waiting parents",
  used: "in use",
  cached: "cached prefixes",
  free: "free",
};

function blocks_of({ blocks }) {
  const { total, free, leased, cached } = blocks;
  return { leased, cached, free, used: Math.max(0, total - free - leased - cached), total };
}

const counters = ["generated_tokens", "steps", "busy_s", "forward_s"];

/// What grew how much per second between two polls.
function speed_between(before, pool, seconds) {
  const speed = (name) => (before ? Math.max(0, pool[name] - before[name]) / seconds : NaN);
  return Object.fromEntries(counters.map((name) => [name, speed(name)]));
}

/// How the cache's blocks are used, as a bar.
class block_bar {
  constructor() {
    this.parts = {};
    this.amounts = {};
    for (const name in uses) {
      this.parts[name] = element("span", { class: `use ${name}` });
      this.amounts[name] = element("span", { class: "amount" });
    }
    this.node = element("div", { class: "blocks", role: "img" }, ...Object.values(this.parts));
    const entries = Object.keys(uses).map((name) => this.entry(name));
    this.legend = element("p", { class: "legend" }, ...entries);
  }

  entry(name) {
    const key = element("span", { class: `key use ${name}` });
    return element("span", {}, key, `${uses[name]} `, this.amounts[name]);
  }

  update(blocks) {
    const words = [];
    for (const name in uses) {
      this.parts[name].style.flexGrow = blocks[name];
      say(this.amounts[name], count(blocks[name]));
      words.push(`${count(blocks[name])} ${uses[name]}`);
    }
    set(this.node, "aria-label", `${count(blocks.total)} blocks: ${words.join(", ")}`);
  }
}

/// The last polls' speed, as a line.
class speed_line {
  past = [];

  constructor() {
    this.line = shape("path");
    this.area = shape("path", { class: "area" });
    this.most = element("span");
    const view = { viewBox: `0 0 ${remembered - 1} 40`, preserveAspectRatio: "none" };
    const words = element("figcaption", {}, `Tokens/s, last ${remembered} s`, this.most);
    const picture = shape("svg", { ...view, "aria-hidden": "true" }, this.area, this.line);
    this.node = element("figure", { class: "speed" }, words, picture);
  }

  update(tokens_per_s) {
    if (!Number.isFinite(tokens_per_s)) return;
    this.past = [...this.past, tokens_per_s].slice(-remembered);
    const peak = Math.max(...this.past);
    const top = Math.max(1, peak);
    const first = remembered - this.past.length;
    const height = (value) => (39 - (37 * value) / top).toFixed(1);
    const points = this.past.map((value, i) => `${first + i} ${height(value)}`).join("L");
    set(this.line, "d", `M${points}`);
    set(this.area, "d", `M${first} 40L${points}L${remembered - 1} 40Z`);
    say(this.most, `peak ${rate(peak)}`);
  }
}

class pool_card {
  constructor(pool) {
    this.where = element("span", { class: "soft" });
    this.facts = new fact_list(figures);
    this.speed = new speed_line();
    this.blocks = new block_bar();
    const name = element("h2", { class: "mono" }, pool.name);
    this.node = element(
      "section",
      { class: "pool", "aria-label": `Pool ${pool.name}` },
      element("div", { class: "panel-head" }, name, this.where),
      this.facts.node,
      this.speed.node,
      element("h3", {}, "Cache blocks"),
      this.blocks.node,
      this.blocks.legend,
    );
    this.node.card = this;
  }

  update(pool, at) {
    const speed = speed_between(this.before, pool, (at - this.at) / 1000);
    this.before = pool;
    this.at = at;
    const node = pool.node === "local" ? "this machine" : pool.node;
    say(this.where, `${node} · weights epoch ${pool.weights_epoch}`);
    this.facts.update({ pool, speed });
    this.blocks.update(blocks_of(pool));
    this.speed.update(speed.generated_tokens);
  }
}

// ---- totals

/// { name: number } as rows.
function rows_of(counts, least = 0) {
  const shown = Object.entries(counts ?? {}).filter(([, n]) => n >= least);
  return shown.map(([name, n]) => [name.replaceAll("_", " "), count(n)]);
}

function takes_work({ ready, draining }) {
  if (draining) return "no: it is about to end";
  return ready ? "yes" : "not yet";
}

function store_rows({ store = {} }) {
  return [
    ["finished trees", count(store.finished)],
    ["unfinished trees", count(store.unfinished)],
    ["size", bytes(store.bytes)],
  ];
}

function daemon_rows(status) {
  return [
    ["version", status.version ?? none],
    ["up for", duration(1000 * status.uptime_s)],
    ["takes work", takes_work(status)],
    ["tokens", count(status.tokens?.generated)],
  ];
}

function tables_of(status) {
  const failures = rows_of(status.failures, 1);
  return [
    { name: "Trees since the start", rows: rows_of(status.trees) },
    { name: "Live threads", rows: rows_of(status.threads) },
    { name: "Failures since the start", rows: failures.length ? failures : [["none", ""]] },
    { name: "Store", rows: store_rows(status) },
    { name: "Daemon", rows: daemon_rows(status) },
  ];
}

function make_table({ name }) {
  const table = element("table", {}, element("tbody"));
  return element("section", {}, element("h3", {}, name), table);
}

function fill_table(node, { rows }) {
  keep(node.querySelector("tbody"), rows, {
    key: ([name]) => name,
    make: ([name]) => element("tr", {}, element("th", { scope: "row" }, name), element("td")),
    update: (row, [, value]) => say(row.lastChild, value),
  });
}

class devices_view {
  title = "Devices";

  constructor(place, { back }) {
    this.back = back;
    this.cards = element("div", { class: "pools" });
    this.totals = element("div", { class: "totals" });
    this.trouble = element("div");
    this.summary = element("p", { class: "soft" });
    place.replaceChildren(
      element("div", { class: "bar" }, element("h1", {}, "Devices"), this.summary),
      this.trouble,
      this.cards,
      element("h2", { class: "section" }, "Totals"),
      this.totals,
    );
    this.close = regularly(() => attempt(this.trouble, () => this.poll()), poll_ms);
  }

  step_back() {
    location.hash = this.back;
  }

  async poll() {
    const [{ pools }, status] = await Promise.all([ask("/v1/pools"), ask("/v1/status")]);
    this.show(pools, status, performance.now());
  }

  show(pools, status, at) {
    say(this.summary, plural(pools.length, "pool"));
    keep(this.cards, pools, {
      key: (pool) => `${pool.node} ${pool.name}`,
      make: (pool) => new pool_card(pool).node,
      update: (node, pool) => node.card.update(pool, at),
    });
    keep(this.totals, tables_of(status), {
      key: (table) => table.name,
      make: make_table,
      update: fill_table,
    });
  }
}

export async function open_devices(params) {
  return (place) => new devices_view(place, params);
}
