// Elements are made without markup: whatever comes from outside goes in as text.

const svg_space = "http://www.w3.org/2000/svg";

function furnish(node, facts, children) {
  for (const [name, value] of Object.entries(facts)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else set(node, name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/// facts: attributes; functions are listeners.
export function element(tag, facts = {}, ...children) {
  return furnish(document.createElement(tag), facts, children);
}

export function shape(tag, facts = {}, ...children) {
  return furnish(document.createElementNS(svg_space, tag), facts, children);
}

/// Leaves the node alone where it says so already, and with it the reader's selection.
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function set(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/// Makes the children of `parent` those of `items`, one each; `make` and `update` get the item.
/// Nodes of items that stay are kept, and with them focus and selection; where one sinks, it is the
/// one that moves.
export function keep(parent, items, { key, make, update }) {
  const known = parent.known ?? (parent.known = new Map());
  const wanted = new Set(items.map(key));
  for (const [name, node] of known) {
    if (wanted.has(name)) continue;
    node.remove();
    known.delete(name);
  }
  const held = parent.contains(document.activeElement) ? document.activeElement : null;
  let before = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    let node = known.get(name);
    if (!node) known.set(name, (node = make(item)));
    update(node, item);
    if (before && node === before.nextElementSibling) {
      before.remove(); // its own turn comes
      before = node;
    }
    if (node === before) before = before.nextElementSibling;
    else parent.insertBefore(node, before);
  }
  if (held !== document.activeElement) held?.focus({ preventScroll: true }); // it has moved
}

const glyphs = {
  queued: "",
  decoding: "M-2.2-3.6 4 0-2.2 3.6Z",
  waiting: "M-3.4 0h.01M0 0h.01M3.4 0h.01",
  paused: "M-1.8-2.8v5.6M1.8-2.8v5.6",
  done: "M-3.2.2-1 2.5 3.4-2.4",
  failed: "M-2.5-2.5 2.5 2.5M2.5-2.5-2.5 2.5",
  cancelled: "M-4.8 4.8 4.8-4.8",
};
glyphs.running = glyphs.decoding;

/// What a state looks like, by shape and by colour. Not finding a solution is how most searches
/// end: it looks quieter than what went wrong.
export function state_class(state, failure) {
  const quiet = !failure || failure === "no_solution" || failure === "cancelled";
  return `state ${state}${quiet ? "" : " wrong"}`;
}

/// The shapes of a state's mark around (0, 0), 14 wide.
export function mark_shapes(state) {
  const glyph = { class: "glyph", d: glyphs[state] ?? "" };
  return [shape("circle", { class: "ring", r: 7 }), shape("path", glyph)];
}

export function mark(state, failure) {
  const look = `mark ${state_class(state, failure)}`;
  const facts = { class: look, viewBox: "-8 -8 16 16", "aria-hidden": "true" };
  return shape("svg", facts, ...mark_shapes(state));
}

/// A mark and the word for it.
export function state_words(state, failure) {
  const why = failure && failure !== state ? `: ${failure.replaceAll("_", " ")}` : "";
  const words = element("span", {}, state, element("span", { class: "why" }, why));
  return element("span", { class: "state-words" }, mark(state, failure), words);
}

export function label_chips(labels) {
  return Object.entries(labels ?? {}).map(([name, value]) =>
    element("span", { class: "label" }, `${name}=${value}`),
  );
}

/// "Cancel tree", "Pause subtree", …
export function action_button(action, what, click) {
  const look = action === "cancel" ? "danger" : null;
  const words = `${action[0].toUpperCase()}${action.slice(1)} ${what}`;
  return element("button", { type: "button", class: look, "data-action": action, click }, words);
}

/// Who had the focus on a button has it on the one in its place, or on the view where there is none.
export function replace_buttons(parent, buttons) {
  const held = [...parent.children].indexOf(document.activeElement);
  parent.replaceChildren(...buttons);
  if (held >= 0) (buttons[held] ?? document.getElementById("main")).focus({ preventScroll: true });
}
