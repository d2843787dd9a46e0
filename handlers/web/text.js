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

const MARK = "\ufeff";

/** How a text ends its lines: "\\n", "\\r\\n", "" where it has one line, null where it mixes. */
export function ending(text) {
  const feeds = text.split("\n").length - 1;
  const pairs = text.split("\r\n").length - 1;
  if (text.split("\r").length - 1 !== pairs || (pairs && pairs !== feeds)) return null;
  return pairs ? "\r\n" : feeds ? "\n" : "";
}

/**
 * Texts as one edits them, and what makes a text of it again: without byte order marks, and with plain line ends, where
 * each has but one kind. `merged` says which kind comes out, and whether a mark does.
 */
export function editable({ merged, ...sides }) {
  const texts = { merged, ...sides };
  const plain = Object.values(texts).every((text) => ending(text) !== null);
  const convert = (text) => {
    const bare = text.startsWith(MARK) ? text.slice(1) : text;
    return plain ? bare.replaceAll("\r\n", "\n") : bare;
  };
  const mark = merged.startsWith(MARK) || Object.values(sides).every((text) => text.startsWith(MARK)) ? MARK : "";
  const end = plain ? ending(merged) : "";
  return {
    texts: Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, convert(text)])),
    finish: (text) => mark + (end === "\r\n" ? text.replaceAll("\r\n", "\n").replaceAll("\n", end) : text),
  };
}
