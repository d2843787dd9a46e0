// Where an editor lives. Its styles are made by scripts: inside a shadow root they need no hole in the page's policy.

import { html, useEffect, useRef } from "./vendor/preact.js";

/** `build(parent, root, library)` puts editors there and returns what removes them; the library comes when it is needed. */
export function Shadow({ build, needs, label }) {
  const host = useRef(null);
  useEffect(() => {
    const place = host.current;
    let destroy = null;
    let gone = false;
    import("./vendor/editor.js").then((library) => {
      if (gone) return;
      const root = place.shadowRoot ?? place.attachShadow({ mode: "open" });
      const parent = document.createElement("div");
      root.replaceChildren(parent);
      destroy = build(parent, root, library);
    });
    return () => {
      gone = true;
      destroy?.();
    };
  }, needs);
  return html`<div class="editor" ref=${host} role="group" aria-label=${label}></div>`;
}

/** What all editors look like. The page's colours reach into the shadow. */
export function look({ EditorView }) {
  return EditorView.theme({
    "&": { color: "var(--ink)", backgroundColor: "var(--paper)", fontSize: "0.875rem" },
    ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.5", overflow: "auto" },
    ".cm-content": { caretColor: "var(--ink)" },
    ".cm-gutters": { backgroundColor: "var(--paper)", color: "var(--quiet)", border: "none" },
    ".cm-activeLine": { backgroundColor: "transparent" },
    "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "-2px" },
    ".cm-cursor": { borderLeftColor: "var(--ink)" },
    ".cm-selectionBackground": { backgroundColor: "var(--selected) !important" },
    "&.cm-merge-a .cm-changedLine, .cm-deletedChunk": { backgroundColor: "var(--gone)" },
    "&.cm-merge-b .cm-changedLine": { backgroundColor: "var(--new)" },
    "&.cm-merge-a .cm-changedText, .cm-deletedChunk .cm-deletedText": { background: "var(--gone-word)" },
    "&.cm-merge-b .cm-changedText": { background: "var(--new-word)" },
    ".cm-collapsedLines": { color: "var(--quiet)", background: "var(--sheet)" },
  });
}
