// The three panes of the conflict window. The server has merged what can be merged (docs/protocol.md, section 8); every
// place where the sides disagree is a spot in the middle pane, empty until somebody chooses or types.

import { html, useMemo, useRef, useState } from "./vendor/preact.js";
import { Act, Name } from "./parts.js";
import { Shadow, look } from "./shadow.js";
import { editable, lines } from "./text.js";
import { Spots } from "./spots.js";

const CHOICES = ["client", "server", "both", "neither"];

export function MergeEditor({ merge, texts: given, sides, writes, typed, save }) {
  const { texts, finish } = useMemo(() => editable({ merged: merge.text, ...given }), [merge, given]);
  const spots = useRef(null);
  const panes = useRef({});
  const [state, setState] = useState({ open: merge.hunks.filter((hunk) => hunk.kind === "conflict").length, total: 0, at: 0 });
  const [shown, setShown] = useState("result");
  const [original, setOriginal] = useState(false);
  const names = { client: sides.client.device, server: sides.server.device };

  const go = (step) => {
    const spot = spots.current?.go(step);
    if (!spot) return;
    for (const side of ["client", "server", "base"]) panes.current[side]?.(spot.hunk);
  };
  const choose = (choice) => spots.current?.choose(choice);
  const words = {
    client: html`<${Name} of=${names.client} />'s`,
    server: "The server's",
    both: "Both",
    neither: "Neither",
  };
  const store = () => {
    if (spots.current.open) throw new Error("A place waits for you still.");
    return save(finish(spots.current.text()));
  };
  const open = state.open === 0 ? "Every place is decided." : `${state.open} of ${state.total || state.open} places wait for you.`;
  const tab = (pane, text) => html`<button type="button" role="tab" aria-selected=${shown === pane} onClick=${() => setShown(pane)}>${text}</button>`;
  return html`<div class="merge">
    <div class="bar" role="toolbar" aria-label="Places where both sides changed the text">
      <span role="status">${merge.hunks.some((hunk) => hunk.kind === "conflict") ? open : "The edits do not touch each other: they are merged below."}</span>
      ${state.total > 0 &&
      html`<button type="button" onClick=${() => go(-1)} aria-label="Previous place">↑</button>
        <button type="button" onClick=${() => go(1)} aria-label="Next place">↓</button>
        <span class="group" role="group" aria-label=${`Place ${state.at + 1}: take`}>
          ${CHOICES.map((choice) => html`<button type="button" key=${choice} disabled=${!writes} aria-pressed=${state.choice === choice} onClick=${() => choose(choice)}>${words[choice]}</button>`)}
        </span>`}
      <label class="switch"><input type="checkbox" checked=${original} onChange=${(event) => setOriginal(event.target.checked)} /> Original</label>
      <${Act} kind="main" disabled=${!writes || !state.ready || state.open > 0} does=${store}>Save the merged text<//>
    </div>
    <div class="tabs panes" role="tablist" aria-label="Panes">${tab("client", html`<${Name} of=${names.client} />`)} ${tab("result", "Merged")} ${tab("server", "Server")} ${original && tab("base", "Original")}</div>
    <div class=${`three ${original ? "four" : ""}`} data-shown=${shown}>
      <${Pane} pane="client" title=${html`<${Name} of=${names.client} />`} label=${`Text of ${names.client}`}>
        <${ReadOnly} text=${texts.client} hunks=${merge.hunks} side="client" ready=${(scroll) => (panes.current.client = scroll)} />
      <//>
      <${Pane} pane="result" title="Merged" label="Merged text">
        <${Result} merge=${merge} texts=${texts} names=${names} writes=${writes} typed=${typed} spots=${spots} told=${setState} />
      <//>
      <${Pane} pane="server" title=${html`On the server (<${Name} of=${names.server} />)`} label="Text on the server">
        <${ReadOnly} text=${texts.server} hunks=${merge.hunks} side="server" ready=${(scroll) => (panes.current.server = scroll)} />
      <//>
      ${original &&
      html`<${Pane} pane="base" title="The original" label="Original text">
        <${ReadOnly} text=${texts.base} hunks=${merge.hunks} side="base" ready=${(scroll) => (panes.current.base = scroll)} />
      <//>`}
    </div>
  </div>`;
}

function Pane({ pane, title, label, children }) {
  return html`<section class="pane" data-pane=${pane} aria-label=${label}><h2>${title}</h2>${children}</section>`;
}

function Result({ merge, texts, names, writes, typed, spots, told }) {
  const build = (parent, root, library) => {
    const pieces = { client: lines(texts.client), server: lines(texts.server), text: lines(texts.merged) };
    const one = new Spots(library, { merge, pieces, names, writes, parent, root, told, typed });
    spots.current = one;
    return () => one.destroy();
  };
  return html`<${Shadow} build=${build} needs=${[merge, texts]} label="Merged text" />`;
}

/** A side as it is, with what it changed marked. `ready` gets what scrolls to a hunk. */
function ReadOnly({ text, hunks, side, ready }) {
  const build = (parent, root, library) => {
    const { Decoration, EditorState, EditorView, lineNumbers } = library;
    const state = EditorState.create({
      doc: text,
      extensions: [
        look(library),
        lineNumbers(),
        EditorState.readOnly.of(true),
        EditorView.editable.of(false),
        EditorState.lineSeparator.of("\n"),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ tabindex: "0", "aria-label": "Text" }),
        EditorView.theme({ ".touched": { backgroundColor: side === "server" ? "var(--theirs)" : "var(--mine)" }, ".clash": { backgroundColor: "var(--clash)" } }),
        EditorView.decorations.of((view) => marks(view, hunks, side, Decoration)),
      ],
    });
    const view = new EditorView({ state, parent, root });
    ready((hunk) => {
      const line = Math.min(hunk[side][0] + 1, view.state.doc.lines);
      view.dispatch({ effects: EditorView.scrollIntoView(view.state.doc.line(line).from, { y: "center" }) });
    });
    return () => view.destroy();
  };
  return html`<${Shadow} build=${build} needs=${[text]} label="Text" />`;
}

function marks(view, hunks, side, Decoration) {
  const found = [];
  for (const hunk of hunks) {
    const touched = hunk.kind === "conflict" || side === "base" || hunk.kind === side || hunk.kind === "same";
    if (!touched) continue;
    for (let line = hunk[side][0] + 1; line <= Math.min(hunk[side][1], view.state.doc.lines); line += 1) {
      const mark = Decoration.line({ class: hunk.kind === "conflict" ? "clash" : "touched" });
      found.push(mark.range(view.state.doc.line(line).from));
    }
  }
  return Decoration.set(found, true);
}
