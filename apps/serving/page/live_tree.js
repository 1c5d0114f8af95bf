// A tree as its events tell it. Knows nothing of the page.

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const is_plain = (text) => /^[\x00-\x7f]*$/.test(text);

export const ended = (state) => state === "done" || state === "failed" || state === "cancelled";

export function parent_path(path) {
  return path === "/" ? null : path.slice(0, path.lastIndexOf("/")) || "/";
}

const last_number = (path) => Number(path.slice(path.lastIndexOf("/") + 1));

class live_thread {
  children = []; // paths, in their order
  state = "queued";
  failure = null;
  tokens = 0;
  text = "";
  plain = true; // each of its characters is one byte
  torn = false; // some of its text was missed
  history = []; // [{ state, at: Unix time in ms }]
  facts = null; // as the API has it, where it was asked

  constructor(path) {
    this.path = path;
    this.parent = parent_path(path);
    this.depth = path === "/" ? 0 : path.split("/").length - 1;
  }

  /// When it entered its state.
  get since() {
    return this.history.at(-1)?.at;
  }
}

export class live_tree {
  /// `tree`: as GET /v1/trees/{id} has it at `at`, Unix time in ms.
  constructor(tree, at) {
    this.threads = new Map(); // by path
    this.take_tree(tree, at);
  }

  /// The whole tree as the API has it at `at`.
  take_tree(tree, at) {
    this.facts = tree;
    this.state = tree.state;
    this.ran = { ms: tree.usage?.wall_ms ?? 0, at };
    for (const thread of tree.threads) this.take(thread);
  }

  /// How long it ran, as the daemon counts: without waiting for its turn and without pauses.
  wall_ms(now) {
    const more = this.state === "running" ? Math.max(0, now - this.ran.at) : 0;
    return this.ran.ms + more;
  }

  get ended() {
    return ended(this.state);
  }

  get root() {
    return this.threads.get("/");
  }

  /// A thread as the API has it: newer than what events told so far.
  take(said) {
    const thread = this.thread(said.path);
    thread.facts = { ...thread.facts, ...said };
    thread.tokens = said.generated_tokens;
    thread.failure = said.failure;
    if (said.text !== undefined) this.set_text(thread, said.text);
    if (said.history?.length) {
      thread.history = said.history.map(({ state, at }) => ({ state, at: Date.parse(at) }));
    }
    this.enter(thread, said.state, Date.parse(said.since));
    thread.state = said.state;
    return thread;
  }

  /// The thread at `path`; makes it, and those above it, where they are not known yet.
  thread(path) {
    const known = this.threads.get(path);
    if (known) return known;
    const thread = new live_thread(path);
    this.threads.set(path, thread);
    if (thread.parent) {
      const { children } = this.thread(thread.parent);
      children.push(path);
      children.sort((a, b) => last_number(a) - last_number(b));
    }
    return thread;
  }

  /// What is older than what is known already is passed over: after a lost connection things may
  /// be said twice.
  enter(thread, state, at) {
    const last = thread.history.at(-1);
    const is_known = thread.history.some((mark) => mark.state === state && mark.at === at);
    if (at < last?.at || is_known) return;
    if (last?.state !== state) thread.history.push({ state, at });
    thread.state = state;
  }

  set_text(thread, text) {
    thread.text = text;
    thread.plain = is_plain(text);
    thread.torn = false;
  }

  /// Puts `text` at byte `position`, in the place of all that follows. Said twice it changes
  /// nothing.
  put_text(thread, position, text) {
    if (position === 0) thread.torn = false;
    if (thread.plain && position > thread.text.length) thread.torn = true;
    let before = thread.text.slice(0, position);
    if (!thread.plain) {
      const bytes = encoder.encode(thread.text);
      if (position > bytes.length) thread.torn = true;
      before = decoder.decode(bytes.subarray(0, position));
    }
    thread.text = before + text;
    thread.plain &&= is_plain(text);
  }

  /// Takes in one event, of Unix time `at` in ms. Returns whether there are more threads than
  /// before.
  hear(kind, event, at) {
    const before = this.threads.size;
    if (kind === "tree" || kind === "done") {
      this.ran = { ms: this.wall_ms(at), at: Math.max(at, this.ran.at) };
      this.state = event.state;
      if (event.failure) this.facts.failure = event.failure;
      if (event.outcome) this.facts.outcome = event.outcome;
      if (event.prompt) this.facts.prompt = event.prompt;
      return false;
    }
    const thread = this.thread(event.thread || "/");
    if (event.tokens !== undefined) thread.tokens = event.tokens;
    if (kind === "thread") {
      this.enter(thread, event.state, at);
      thread.failure = event.failure ?? null;
    }
    if (kind !== "thread") this.put_text(thread, event.position, event.text);
    if (kind === "spawn") event.children.forEach((path) => this.thread(path));
    return this.threads.size > before;
  }

  /// Depth first, children in their order.
  in_order() {
    const list = [];
    const walk = (path) => {
      const thread = this.threads.get(path);
      list.push(thread);
      thread.children.forEach(walk);
    };
    if (this.root) walk("/");
    return list;
  }

  below(path) {
    const start = path === "/" ? "/" : `${path}/`;
    const threads = [...this.threads.values()];
    return threads.filter((thread) => thread.path === path || thread.path.startsWith(start));
  }
}

/// How much a thread wrote, also while its tokens were not counted yet.
export function weight(thread) {
  return Math.max(thread.tokens || 0, ended(thread.state) ? 0 : thread.text.length / 6);
}

/// The numbers that a thread starts from, where its prompt says so.
export function start_of(thread) {
  return /^Current State: [^:\n]*:(\[[^\]\n]*\])/m.exec(thread.text.slice(0, 600))?.[1] ?? "";
}
