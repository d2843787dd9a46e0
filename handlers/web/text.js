// Whether bytes are text, and which.

/** The text of UTF-8 bytes, a byte order mark kept; null for anything that is no text. `cut`: the end may be missing. */
export function decode(body, cut = false) {
  if (body.includes(0)) return null;
  const end = cut ? lastWhole(body) : body.length;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body.subarray(0, end));
  } catch {
    return null;
  }
}

/** Where the last whole character ends. */
function lastWhole(body) {
  let start = body.length - 1;
  while (start > 0 && start > body.length - 4 && (body[start] & 0xc0) === 0x80) start -= 1;
  return start < 0 || body[start] < 0x80 ? body.length : start;
}

/** Lines with their ends, as the server counts them: a line ends after \n. */
export function lines(text) {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}
