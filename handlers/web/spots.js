// The middle pane: the merged text in an editor, with a spot for each place where the sides disagree.
//
// The document is always plain text without markers, so that whatever is saved is what was seen. A spot is a stretch of
// it that moves along with every edit, and shows above itself what there is to choose from.

import { look } from "./shadow.js";

const TITLES = { both: "Both", neither: "Neither" };

export class Spots {
  /**
   * `merge` and `pieces` (the lines of client, server and text) as the server gave them; `told` gets
   * `{ open, total, at, choice }` after every change, `typed` the text once somebody has touched it.
   */
  constructor(library, { merge, pieces, names, writes, parent, root, told, typed }) {
    Object.assign(this, { library, pieces, names, writes, told, typed });
    this.at = 0;
    const { doc, spots } = begin(merge, pieces);
    const { EditorState, EditorView, StateEffect, StateField, drawSelection, history, historyKeymap, invertedEffects, keymap, lineNumbers, defaultKeymap } = library;
    this.set = StateEffect.define({
      map: (spot, changes) => ({ ...spot, from: changes.mapPos(spot.from), to: changes.mapPos(spot.to) }),
    });
    this.spots = StateField.define({
      create: () => spots,
      update: (old, change) => {
        let now = change.docChanged ? old.map((spot) => moved(spot, change.changes)) : old;
        for (const effect of change.effects) if (effect.is(this.set)) now = now.map((spot) => (spot.id === effect.value.id ? effect.value : spot));
        return now;
      },
      provide: (field) => EditorView.decorations.from(field, (now) => this.decorate(now)),
    });
    const state = EditorState.create({
      doc,
      extensions: [
        look(library),
        EditorView.theme(STYLE),
        lineNumbers(),
        history(),
        invertedEffects.of((change) => this.inverted(change)),
        drawSelection(),
        keymap.of([...defaultKeymap, ...historyKeymap]),
        EditorState.lineSeparator.of("\n"),
        EditorState.readOnly.of(!writes),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": "Merged text", spellcheck: "false" }),
        this.spots,
        EditorView.updateListener.of((update) => this.updated(update)),
      ],
    });
    this.view = new EditorView({ state, parent, root });
    this.report();
  }

  get list() {
    return this.view.state.field(this.spots);
  }

  text() {
    return this.view.state.sliceDoc();
  }

  destroy() {
    this.view.destroy();
  }

  updated(update) {
    if (update.docChanged) this.typed(this.text());
    if (update.startState.field(this.spots) !== update.state.field(this.spots)) this.report();
  }

  get open() {
    return this.list.filter((spot) => !spot.choice).length;
  }

  /** What undoes a change for the spots: those that were chosen in, and those that lost text or their place. */
  inverted(change) {
    const chosen = new Set(change.effects.filter((effect) => effect.is(this.set)).map((effect) => effect.value.id));
    return change.startState
      .field(this.spots)
      .filter((spot) => chosen.has(spot.id) || change.changes.touchesRange(spot.from, spot.to))
      .map((spot) => this.set.of(spot));
  }

  report() {
    const list = this.list;
    this.told({ ready: true, open: this.open, total: list.length, at: this.at, choice: list[this.at]?.choice });
  }

  /** Shows the next or the previous spot. */
  go(step) {
    const list = this.list;
    if (!list.length) return null;
    this.at = (this.at + step + list.length) % list.length;
    this.scroll(list[this.at]);
    this.report();
    return list[this.at];
  }

  scroll(spot) {
    this.view.dispatch({ effects: this.library.EditorView.scrollIntoView(spot.from, { y: "center" }) });
  }

  /** Puts one side's lines, or both sides', or none into the present spot, and goes on to the next that is open. */
  choose(choice, id = this.list[this.at]?.id) {
    const spot = this.list.find((one) => one.id === id);
    if (!spot || !this.writes || !this.mayReplace(spot)) return;
    const followed = this.view.state.sliceDoc(spot.to, spot.to + 1) !== "";
    const insert = this.content(spot.hunk, choice, followed);
    const to = spot.from + insert.length;
    // Where the text between two spots was deleted, they share a place: the later ones stay behind what comes in.
    const behind = this.list.filter((one) => one.id > id && one.from === spot.to && one.to === spot.to);
    this.view.dispatch({
      changes: { from: spot.from, to: spot.to, insert },
      effects: [
        this.set.of({ ...spot, choice, to, inserted: insert }),
        ...behind.map((one) => this.set.of({ ...one, from: to, to })),
      ],
      userEvent: "input.choose",
    });
    const open = this.list.findIndex((one) => !one.choice);
    this.at = open >= 0 ? open : this.list.findIndex((one) => one.id === id);
    this.scroll(this.list[this.at]);
    this.report();
  }

  /** What somebody wrote into a spot is not thrown away without a word. */
  mayReplace(spot) {
    const same = !spot.choice || this.view.state.sliceDoc(spot.from, spot.to) === spot.inserted;
    return same || confirm("This replaces what you wrote there. Go on?");
  }

  content(hunk, choice, followed) {
    const take = (side) => this.pieces[side].slice(...hunk[side]).join("");
    const sides = { client: ["client"], server: ["server"], both: ["client", "server"], neither: [] }[choice];
    const parts = sides.map(take).filter(Boolean);
    const ended = parts.map((part, index) => (index < parts.length - 1 || followed) && !part.endsWith("\n") ? `${part}\n` : part);
    return ended.join("");
  }

  decorate(spots) {
    const { Decoration } = this.library;
    const found = [];
    for (const spot of spots) {
      const widget = new (chooser(this.library))(this, spot);
      found.push(Decoration.widget({ widget, block: true, side: -1 }).range(spot.from));
      if (spot.to > spot.from) found.push(Decoration.mark({ class: "taken" }).range(spot.from, spot.to));
    }
    return Decoration.set(found, true);
  }

  /** What a spot looks like: what there is to choose from, or what was chosen. */
  draw(spot) {
    const outer = element("div", "around"); // the editor measures it, and margins it would not see
    const box = element("div", spot.choice ? "spot done" : "spot");
    outer.append(box);
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", spot.choice ? "A place that is decided" : "A place where both sides changed the text");
    if (spot.choice) {
      const what = TITLES[spot.choice] ?? this.title(spot.choice);
      box.append(element("span", "", `Taken: ${what}`), this.button("Change", () => this.reopen(spot)));
      return outer;
    }
    for (const side of ["client", "server"]) {
      const own = element("div", `choice ${side}`);
      const text = this.pieces[side].slice(...spot.hunk[side]).join("");
      own.append(element("strong", "", this.title(side)), element("pre", "", text || "(nothing: the lines are gone)"));
      own.append(this.button(`Take ${this.title(side)}`, () => this.choose(side, spot.id)));
      box.append(own);
    }
    const rest = element("div", "rest");
    rest.append(this.button("Take both", () => this.choose("both", spot.id)), this.button("Take neither", () => this.choose("neither", spot.id)));
    box.append(rest);
    return outer;
  }

  title(side) {
    return side === "client" ? `${this.names.client}'s` : "the server's";
  }

  reopen(spot) {
    const now = this.list.find((one) => one.id === spot.id);
    if (!this.mayReplace(now)) return;
    this.at = this.list.indexOf(now);
    this.view.dispatch({ changes: { from: now.from, to: now.to }, effects: this.set.of({ ...now, choice: null, to: now.from }) });
    this.report();
  }

  button(text, does) {
    const one = element("button", "", text);
    one.type = "button";
    one.disabled = !this.writes;
    one.addEventListener("click", does);
    return one;
  }
}

/** The text without the places that disagree, and these as spots. */
function begin(merge, pieces) {
  let doc = "";
  let line = 0;
  const spots = [];
  for (const hunk of merge.hunks) {
    if (hunk.kind !== "conflict") continue;
    doc += pieces.text.slice(line, hunk.text[0]).join("");
    line = hunk.text[1];
    spots.push({ id: spots.length, hunk, from: doc.length, to: doc.length, choice: null });
  }
  return { doc: doc + pieces.text.slice(line).join(""), spots };
}

/** An empty spot swallows nothing that is written beside it; in one that is filled, one may write. */
function moved(spot, changes) {
  if (spot.from === spot.to) {
    const place = changes.mapPos(spot.from, -1);
    return { ...spot, from: place, to: place };
  }
  const from = changes.mapPos(spot.from, 1);
  return { ...spot, from, to: Math.max(from, changes.mapPos(spot.to, -1)) };
}

function element(name, kind, text) {
  const one = document.createElement(name);
  one.className = kind;
  if (text !== undefined) one.textContent = text;
  return one;
}

let made = null;

function chooser({ WidgetType }) {
  made ??= class extends WidgetType {
    constructor(owner, spot) {
      super();
      Object.assign(this, { owner, spot });
    }
    eq(other) {
      return other.spot.id === this.spot.id && other.spot.choice === this.spot.choice;
    }
    toDOM() {
      return this.owner.draw(this.spot);
    }
    ignoreEvent() {
      return true; // its buttons are its own
    }
  };
  return made;
}

const STYLE = {
  ".taken": { backgroundColor: "var(--clash)" },
  ".around": { padding: "0.25rem 0" },
  ".spot": { display: "flex", flexWrap: "wrap", gap: "0.5rem", padding: "0.5rem", border: "2px solid var(--warn)", borderRadius: "6px", background: "var(--sheet)", fontFamily: "var(--sans)" },
  ".spot.done": { borderWidth: "1px", padding: "0.1rem 0.5rem", alignItems: "center", color: "var(--quiet)" },
  ".choice": { flex: "1 1 12rem", minWidth: "0", padding: "0.25rem 0.5rem", borderRadius: "4px" },
  ".choice.client": { background: "var(--mine)" },
  ".choice.server": { background: "var(--theirs)" },
  ".choice pre": { margin: "0.25rem 0", whiteSpace: "pre-wrap", overflowWrap: "anywhere", maxHeight: "12rem", overflow: "auto", fontFamily: "var(--mono)" },
  ".rest": { flex: "1 1 100%", display: "flex", gap: "0.5rem" },
  ".spot button": { font: "inherit", padding: "0.25rem 0.75rem", minHeight: "2rem", color: "var(--ink)", background: "var(--paper)", border: "1px solid var(--line)", borderRadius: "6px", cursor: "pointer" },
};
