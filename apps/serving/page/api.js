import { element } from "./dom.js";

/// The daemon said no, or nothing at all (status 0).
export class refusal extends Error {
  constructor(status, { code, message, field } = {}) {
    super(message || `the daemon answered ${status}; look at its log`);
    Object.assign(this, { status, code, field });
  }

  /// Asked later it may say yes.
  get may_pass() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

// ---- is the daemon there? ----

const notice = document.getElementById("notice");
let lost = false;
let shut = false;
let hide_later = 0;

function lose() {
  clearTimeout(hide_later);
  if (lost) return;
  lost = true;
  notice.className = "notice lost";
  notice.textContent = "The daemon does not answer. What you see may be old; trying again…";
  notice.hidden = false;
}

/// The daemon wants a token that this browser has not: nothing more is asked until the page is
/// opened anew.
function shut_out() {
  shut = true;
  lost = false;
  clearTimeout(hide_later);
  notice.className = "notice lost";
  const way = element("a", { href: "/" }, "Open the page again");
  notice.replaceChildren("The daemon's token is another one now. ", way);
  notice.hidden = false;
}

function find_again() {
  if (!lost || shut) return;
  lost = false;
  notice.className = "notice found";
  notice.textContent = "Connected again.";
  hide_later = setTimeout(() => (notice.hidden = true), 4000);
}

const news = document.getElementById("news");
/// For those who listen to the page.
export const tell = (text) => (news.textContent = text);

/// Shows a refusal; anything else is a bug, and not for here.
export function error_line(error) {
  if (!(error instanceof refusal)) throw error;
  return element("p", { class: "error", role: "alert" }, error.message);
}

/// Does what a view asks for by itself. Its refusal stands in `place` until it goes well; that
/// nobody answers is in the notice. Returns the refusal, or null.
export async function attempt(place, work) {
  try {
    await work();
    place.replaceChildren();
    return null;
  } catch (error) {
    const line = error_line(error);
    const is_said = place.textContent === line.textContent; // who listens hears it once
    if (error.status !== 0 && !is_said) place.replaceChildren(line);
    return error;
  }
}

// ---- requests ----

const most_skews = 10;
let skews = []; // of the last answers
let skew_ms = 0; // how far the daemon's clock is ahead of ours
export const now = () => Date.now() + skew_ms;

/// It tells whole seconds, cut off: the largest is the nearest.
function read_clock(response) {
  const skew = Date.parse(response.headers.get("Date")) - Date.now();
  if (!Number.isFinite(skew)) return;
  skews = [...skews, skew].slice(-most_skews);
  const nearest = Math.max(...skews);
  skew_ms = Math.abs(nearest) < 3000 ? 0 : nearest;
}

async function answer(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    lose();
    throw new refusal(0, { message: "the daemon does not answer; is it running?" });
  }
  if (response.status === 401) shut_out();
  find_again();
  read_clock(response);
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new refusal(response.status, body.error);
  return body;
}

export const ask = (path) => answer(path);

export function tell_daemon(path, body = {}) {
  return answer(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

export const tree_path = (id, rest = "") => `/v1/trees/${encodeURIComponent(id)}${rest}`;

// ---- events ----

const kinds = ["tree", "thread", "spawn", "text", "join", "done"];
const longest_pause_ms = 8000;

/// Listens while the page is seen. `hear(kind, data)` gets every event; `missed()` is called when
/// some may have been lost: the connection stands again, or the daemon refuses it. After `done` of
/// one tree nothing follows, so whoever hears it closes. Returns how to close.
export function listen(path, { hear, missed }) {
  let source = null;
  let timer = 0;
  let pause_ms = 500;
  let again = false;

  function connect() {
    source = new EventSource(path);
    source.onopen = () => {
      pause_ms = 500;
      find_again();
      if (again) missed();
      again = true;
    };
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) retry(); // else the browser does
      else timer ||= setTimeout(check, 1500);
    };
    for (const kind of kinds) {
      source.addEventListener(kind, (event) => hear(kind, JSON.parse(event.data)));
    }
  }

  function check() {
    timer = 0;
    if (source && source.readyState !== EventSource.OPEN) lose();
  }

  function retry() {
    disconnect();
    if (shut) return;
    again = true;
    missed();
    timer = setTimeout(() => { timer = 0; connect(); }, pause_ms);
    pause_ms = Math.min(2 * pause_ms, longest_pause_ms);
  }

  function disconnect() {
    clearTimeout(timer);
    timer = 0;
    source?.close();
    source = null;
  }

  function look() {
    if (document.hidden) disconnect();
    else if (!source && !timer && !shut) connect();
  }

  document.addEventListener("visibilitychange", look);
  look();
  return () => {
    document.removeEventListener("visibilitychange", look);
    disconnect();
  };
}

// ---- pace ----

const retry_ms = 2000;

/// Work that is asked for more often than it should be done: `wish()` does it soon, one at a time
/// and at most once per `gap_ms`; where it takes long, less often; on a hidden page not at all.
/// `retry()`: it was in vain, and is done again later.
export function paced(work, gap_ms) {
  let timer = 0, busy = false, wanted = false, ended = false, free_at = 0;

  async function go() {
    timer = 0;
    if (document.hidden || shut) return; // `wanted` stays
    wanted = false;
    busy = true;
    const began = performance.now();
    try {
      await work();
    } finally {
      busy = false;
      free_at = Math.max(free_at, began + gap_ms, began + 4 * (performance.now() - began));
      if (wanted) wish();
    }
  }

  function wish() {
    wanted = true;
    if (busy || timer || ended) return;
    timer = setTimeout(go, Math.max(0, free_at - performance.now()));
  }

  function retry() {
    free_at = performance.now() + retry_ms;
    wish();
  }

  const look = () => { if (wanted) wish(); };
  document.addEventListener("visibilitychange", look);
  return {
    wish,
    retry,
    end() {
      ended = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", look);
    },
  };
}

/// Wishes every `gap_ms`, until ended.
export function regularly(work, gap_ms) {
  const pace = paced(work, gap_ms);
  pace.wish();
  const timer = setInterval(pace.wish, gap_ms);
  return () => { clearInterval(timer); pace.end(); };
}
