// What every view is made of.

import { createContext, html, useCallback, useContext, useEffect, useRef, useState } from "./vendor/preact.js";
import { date, moment, exact } from "./format.js";
import { pieces, plain } from "./names.js";

/** A view's place: `{ name, user, role, info, reload }` of the vault, and `listen(handler)` for its live messages. */
export const Place = createContext(null);

/** Puts a message at the foot of the page: `tell(text, { problem, kept })`; `kept` is text that people can take along. */
export const Tell = createContext(null);

export function link(vault, view = "", path = "", query = {}) {
  const parts = ["v", vault, view, ...path.split("/")].filter((part, index) => index < 3 ? part : true);
  const words = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const tail = words.length ? `?${new URLSearchParams(words)}` : "";
  return `#/${parts.map(encodeURIComponent).join("/")}${tail}`;
}

/** Loads what a view shows: `{ data, error, loading, reload }`. What was shown stays until the new is there. */
export function useLoad(load, needs) {
  const [state, setState] = useState({ loading: true });
  const turn = useRef(null);
  const reload = useCallback(async () => {
    turn.current?.abort();
    const mine = (turn.current = new AbortController());
    setState((old) => ({ ...old, loading: true }));
    try {
      const data = await load(mine.signal);
      if (!mine.signal.aborted) setState({ data, loading: false });
    } catch (error) {
      if (!mine.signal.aborted) setState((old) => ({ data: old.data, error, loading: false }));
    }
  }, needs);
  useEffect(() => {
    reload();
    return () => turn.current?.abort();
  }, [reload]);
  return { ...state, reload };
}

const SOON_MS = 250;

/** Calls `handler` with the vault's live messages. */
export function useLive(handler) {
  const { listen } = useContext(Place);
  const latest = useRef(handler);
  latest.current = handler;
  useEffect(() => listen((message) => latest.current(message)), [listen]);
}

/** Calls `act` once, shortly after a burst of messages that `concerns` the view. */
export function useLiveReload(act, concerns = () => true) {
  const timer = useRef(null);
  useLive((message) => {
    if (message.type === "state" || timer.current || !(message.type === "wake" || concerns(message))) return;
    timer.current = setTimeout(() => {
      timer.current = null;
      act();
    }, SOON_MS);
  });
  useEffect(() => () => clearTimeout(timer.current), []);
}

export function Name({ of }) {
  const shown = pieces(of).map((piece) =>
    piece.odd ? html`<span class="odd" title="invisible or misleading letters">${piece.odd}</span>` : piece.text,
  );
  return html`<bdi class="name">${shown}</bdi>`;
}

export function When({ stamp }) {
  return html`<time datetime=${date(stamp).toISOString()} title=${exact(stamp)}>${moment(stamp)}</time>`;
}

export function Who({ of }) {
  return html`<span class="who"><${Name} of=${of.device} />${of.device !== of.user && html` <span class="quiet">(<${Name} of=${of.user} />)</span>`}</span>`;
}

/** Shows a view's content, or that it is on its way, or what went wrong. */
export function Loaded({ of, children }) {
  if (of.error && !of.data) return html`<${Trouble} error=${of.error} again=${of.reload} />`;
  if (!of.data) return html`<p class="quiet" role="status">Loading…</p>`;
  return html`${of.error && html`<${Trouble} error=${of.error} again=${of.reload} />`}${children(of.data)}`;
}

export function Trouble({ error, again }) {
  return html`<div class="notice problem" role="alert">
    <p>${error.message}</p>
    ${again && html`<button type="button" onClick=${again}>Try again</button>`}
  </div>`;
}

/** A title of a view, which is the window's as well and takes the focus when one comes here. */
export function Title({ text, children }) {
  const { name } = useContext(Place) ?? {};
  const heading = useRef(null);
  useEffect(() => {
    document.title = name && name !== text ? `${plain(text)} · ${plain(name)} · gobi` : `${plain(text)} · gobi`;
  }, [text, name]);
  useEffect(() => heading.current.focus({ preventScroll: true }), []);
  return html`<h1 tabindex="-1" ref=${heading}>${children ?? html`<${Name} of=${text} />`}</h1>`;
}

/** A button that does something which takes a moment: off meanwhile, and trouble is told. */
export function Act({ does, kind = "", disabled = false, children, label }) {
  const tell = useContext(Tell);
  const [busy, setBusy] = useState(false);
  const here = useRef(true);
  useEffect(() => () => void (here.current = false), []);
  const act = async () => {
    setBusy(true);
    try {
      await does();
    } catch (error) {
      tell(error.message, { problem: true });
    } finally {
      if (here.current) setBusy(false);
    }
  };
  return html`<button type="button" class=${kind} disabled=${disabled || busy} aria-busy=${busy} aria-label=${label} onClick=${act}>
    ${children}
  </button>`;
}

/** Loads the next page when it comes into sight, or when it is pressed. */
export function More({ does }) {
  const end = useRef(null);
  const latest = useRef(does);
  latest.current = does;
  useEffect(() => {
    const eye = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && latest.current(), {
      rootMargin: "400px",
    });
    eye.observe(end.current);
    return () => eye.disconnect();
  }, []);
  return html`<p class="more" ref=${end}><button type="button" onClick=${() => latest.current()}>Show more</button></p>`;
}

// So many rows are read again when something changes; beyond that the reader is asked first.
const MOST_AGAIN = 1000;

/**
 * Pages of a list, each asked for by what the one before gave: `{ rows, next, error, stale, more, reload }`.
 * `changed` is for live messages: what is shown is read again, or `stale` says that it should be.
 */
export function usePages(load, needs) {
  const [state, setState] = useState({ rows: null });
  const turn = useRef(0);
  const busy = useRef(false);
  const read = async (from, kept, atLeast) => {
    const mine = (turn.current += 1);
    busy.current = true;
    try {
      let rows = kept;
      let next = from;
      do {
        const page = await load(next);
        rows = [...rows, ...page.rows];
        next = page.next;
      } while (mine === turn.current && next && rows.length < atLeast);
      if (mine === turn.current) setState({ rows, next });
    } catch (error) {
      if (mine === turn.current) setState((old) => ({ ...old, error }));
    } finally {
      if (mine === turn.current) busy.current = false;
    }
  };
  const reload = () => read(null, [], Math.min(state.rows?.length ?? 0, MOST_AGAIN) || 1);
  useEffect(() => {
    setState({ rows: null });
    read(null, [], 1);
    return () => void (turn.current += 1);
  }, needs);
  const more = () => {
    if (!busy.current && state.next) read(state.next, state.rows, state.rows.length + 1);
  };
  const changed = () => ((state.rows?.length ?? 0) <= MOST_AGAIN ? reload() : setState((old) => ({ ...old, stale: true })));
  return { ...state, more, reload, changed };
}

/** What stands around the rows of `usePages`: that they are on their way, or old, or that there are more. */
export function Paged({ of, children }) {
  return html`${of.error && html`<${Trouble} error=${of.error} again=${of.reload} />`}
    ${of.stale && html`<div class="notice" role="status"><p>Something was changed.</p><button type="button" onClick=${of.reload}>Show</button></div>`}
    ${!of.rows && !of.error && html`<p class="quiet" role="status">Loading…</p>`}
    ${of.rows && children}
    ${of.next && html`<${More} key=${of.rows.length} does=${of.more} />`}`;
}
