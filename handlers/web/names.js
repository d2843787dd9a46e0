// Names come from anybody who may write: whatever would hide, reorder or fake their letters is shown as what it is.

// Controls, line separators, marks that turn the direction of text, invisible characters, private use, lone surrogates.
const ODD = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]|^[\p{Zs}]+|[\p{Zs}]+$/gu;

function code(letters) {
  return Array.from(letters, (letter) => `U+${letter.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`).join(" ");
}

/** The name in pieces, `{text}` or `{odd}` (a code such as U+202E). */
export function pieces(name) {
  const found = [];
  let end = 0;
  for (const match of name.matchAll(ODD)) {
    if (match.index > end) found.push({ text: name.slice(end, match.index) });
    found.push({ odd: code(match[0]) });
    end = match.index + match[0].length;
  }
  if (end < name.length) found.push({ text: name.slice(end) });
  return found;
}

/** The name as plain text, for titles and labels. */
export function plain(name) {
  return pieces(name)
    .map((piece) => piece.text ?? `⟨${piece.odd}⟩`)
    .join("");
}
