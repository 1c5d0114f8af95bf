const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

export const none = "–";

export const count = (n) => (Number.isFinite(n) ? whole.format(n) : none);

export function rate(n) {
  if (!Number.isFinite(n)) return none;
  return n >= 100 ? whole.format(n) : short.format(n);
}

/// Times of the counters and of the polls do not fit exactly: more than all is all.
export function share(part, all) {
  return all > 0 && Number.isFinite(part) ? `${Math.min(100, (100 * part) / all).toFixed(1)} %` : none;
}

export function bytes(n) {
  if (!Number.isFinite(n)) return none;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  for (; n >= 1000 && unit < units.length - 1; ++unit) n /= 1000;
  return `${short.format(n)} ${units[unit]}`;
}

const pair = (n) => String(n).padStart(2, "0");

export function duration(ms) {
  if (!Number.isFinite(ms)) return none;
  ms = Math.max(0, ms);
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59950) return `${(ms / 1000).toFixed(ms < 9995 ? 2 : 1)} s`;
  const s = Math.round(ms / 1000);
  if (s < 3600) return `${Math.floor(s / 60)} min ${pair(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${pair(Math.floor(s % 3600 / 60))} min`;
  return `${Math.floor(s / 86400)} d ${pair(Math.floor(s % 86400 / 3600))} h`;
}

/// How long ago: to the second below an hour, then in the largest unit.
export function age(ms) {
  if (!Number.isFinite(ms)) return none;
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${pair(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} d`;
}

export const time = (iso) => (iso ? Date.parse(iso) : NaN);
export const clock_text = (iso) => (iso ? new Date(iso).toLocaleString("sv") : none);

export const hour_text = (ms) => new Date(ms).toLocaleTimeString("sv");

export function problem(p) {
  return p && p.numbers ? `${p.numbers.join(" ")} → ${p.target}` : "text prompt";
}

export function plural(n, one, many = `${one}s`) {
  return `${count(n)} ${n === 1 ? one : many}`;
}
