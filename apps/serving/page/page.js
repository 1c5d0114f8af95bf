// The page's frame: which view is shown, and what keys do everywhere.

import { tell } from "./api.js";
import { element, set } from "./dom.js";
import { open_devices } from "./devices.js";
import { open_forest } from "./forest.js";
import { open_tree } from "./tree.js";

const main = document.getElementById("main");
let view = null;
let turns = 0;
let last_tree = "";
let last_list = "#/"; // as it was filtered, and its page

function route(hash) {
  const [path, query = ""] = hash.replace(/^#/, "").split("?", 2);
  const params = Object.fromEntries(new URLSearchParams(query));
  const tree = /^\/tree\/([^/]+)$/.exec(path);
  const back = last_list;
  if (tree) {
    const more = { id: tree[1], back, again: go };
    return { name: "tree", open: open_tree, params: { ...params, ...more } };
  }
  if (path === "/devices") return { name: "devices", open: open_devices, params: { back } };
  if (path && path !== "/") return { name: "nowhere", open: open_nowhere, params: { back } };
  return { name: "forest", open: open_forest, params: { ...params, from: last_tree } };
}

/// An address that somebody made up, or that an older page had.
function open_nowhere({ back }) {
  return (place) => {
    const title = element("h1", {}, "There is no such page");
    const way = element("p", {}, element("a", { href: back }, "All trees"));
    place.replaceChildren(element("div", { class: "empty" }, title, way));
    return { title: "No page", step_back: () => (location.hash = back), close() {} };
  };
}

function show_where({ name }) {
  const part = name === "tree" ? "forest" : name;
  for (const link of document.querySelectorAll("nav [data-view]")) {
    const how = name === part ? "page" : "true";
    set(link, "aria-current", link.dataset.view === part ? how : null);
  }
}

async function go() {
  const turn = ++turns;
  const { name, open, params } = route(location.hash);
  const make = await open(params);
  if (turn !== turns) return; // went on meanwhile
  const first = !view;
  view?.close();
  tell(""); // of the view before
  main.className = `view ${name}-view`;
  view = make(main);
  last_tree = params.id ?? "";
  document.title = `${view.title} · Banyan`;
  show_where({ name });
  scrollTo(0, 0);
  if (!first) main.focus({ preventScroll: true });
}

addEventListener("hashchange", ({ oldURL }) => {
  const { hash } = new URL(oldURL);
  if (route(hash).name === "forest") last_list = hash || "#/";
  go();
});
addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
  if (event.target.closest?.("input, select")) return event.target.blur();
  view?.step_back();
});
go();
