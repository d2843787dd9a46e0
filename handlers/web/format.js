// How sizes, times and counts are written.

const STEPS = ["bytes", "KB", "MB", "GB", "TB"];

export function size(bytes) {
  if (bytes === 1) return "1 byte";
  let step = 0;
  let value = bytes;
  while (value >= 999.5 && step < STEPS.length - 1) {
    value /= 1000;
    step += 1;
  }
  return `${step === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${STEPS[step]}`;
}

export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString()} ${number === 1 ? one : many}`;
}

const DAY = new Intl.DateTimeFormat(undefined, { weekday: "short", year: "numeric", month: "short", day: "numeric" });
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

const LAST_MS = 8.64e15; // of JavaScript's calendar, in the year 275760; its first day is as far away

/** `stamp` in µs since 1970. What a file system calls a time may lie beyond the calendar: then its last or first day. */
export function date(stamp) {
  return new Date(Math.max(-LAST_MS, Math.min(Number(stamp) / 1000, LAST_MS)));
}

/** When a version was made: its stamp, but where stamps ran ahead of the server's clock. */
export function made(version) {
  return version.at ?? version.stamp;
}

export function day(stamp) {
  const then = date(stamp).toDateString();
  const now = new Date();
  if (then === now.toDateString()) return "Today";
  if (then === new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1).toDateString()) return "Yesterday";
  return DAY.format(date(stamp));
}

export function clock(stamp) {
  return CLOCK.format(date(stamp));
}

export function moment(stamp) {
  return `${day(stamp)}, ${clock(stamp)}`;
}

export function exact(stamp) {
  return EXACT.format(date(stamp));
}

const PICTURE = /\.(png|jpe?g|gif|webp|avif|bmp|ico)$/i;

/** Whether browsers show it as a picture. SVG is a program, and shown as text. */
export function isPicture(path) {
  return PICTURE.test(path);
}

export function parent(path) {
  return path.slice(0, path.replace(/\/$/, "").lastIndexOf("/") + 1);
}

export function base(path) {
  return path.slice(parent(path).length);
}
