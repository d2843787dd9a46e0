// The conflict window: one file that two sides changed, and what a person makes of it.

import { html, useCallback, useContext, useRef, useState } from "./vendor/preact.js";
import { address, ask, bytes } from "./api.js";
import { base, isPicture, size } from "./format.js";
import { Crumbs } from "./files.js";
import { Picture } from "./file.js";
import { MergeEditor } from "./merge.js";
import { Act, Loaded, Name, Place, Tell, Title, When, link, useLive, useLoad } from "./parts.js";
import { plain } from "./names.js";
import { decode } from "./text.js";

const KEPT = { server: "the server's version stands", client: "the other version stands", both: "both are kept", merged: "a merged text stands" };

// What was typed, by conflict, until it is settled: leaving the window, or another look at it, throws nothing away.
const typedTexts = new Map();

addEventListener("beforeunload", (event) => typedTexts.size && event.preventDefault());

export function Settle({ path: id }) {
  const { name, writes, reload: reloadVault } = useContext(Place);
  const tell = useContext(Tell);
  const mine = useRef(false);
  const [number, setNumber] = useState(null);
  const [kept, setKept] = useState(() => typedTexts.get(id));
  const [stale, setStale] = useState(false);
  const place = address(name, "conflicts", id);
  const conflict = useLoad((signal) => read(place, number, signal), [place, number]);

  const close = useCallback(
    (text, more) => {
      location.hash = link(name, "conflicts");
      reloadVault();
      tell(text, more);
    },
    [name],
  );
  const settledElsewhere = (record) => {
    if (mine.current) return;
    const what = KEPT[record.resolution?.keep ?? record.resolution] ?? "it is settled";
    close(`${plain(record.path)} was settled elsewhere: ${what}.`, { kept: typedTexts.get(id) });
    typedTexts.delete(id);
  };
  useLive((message) => {
    const record = message.conflict;
    if (record?.id === id && record.state === "settled") settledElsewhere(record);
    else if (record?.id === id) setStale(true);
    else if (message.changes?.some((change) => change.path === conflict.data?.record.path) && !mine.current) setStale(true);
    else if (message.type === "wake") ask("GET", place).then((now) => now.state === "settled" && settledElsewhere(now), () => {});
  });
  const lookAgain = () => {
    setKept(typedTexts.get(id));
    setStale(false);
    conflict.reload();
  };
  const resolve = async (choice) => {
    mine.current = true;
    try {
      await ask("POST", `${place}/resolve`, { json: choice });
      typedTexts.delete(id);
      close("Settled. Every machine gets it with its next sync, and all sides stay in the file's versions.");
    } catch (error) {
      mine.current = false;
      if (error.code !== "conflict") throw error;
      setStale(true);
      throw new Error("The file was changed while you looked. Look again, then decide.");
    }
  };

  return html`<${Loaded} of=${conflict}>
    ${({ record, candidate, merge, texts }) => {
      if (record.state === "settled")
        return html`<${Title} text=${base(record.path)}><${Crumbs} path=${record.path} /><//><p>This conflict is settled.</p><p><a href=${link(name, "conflicts")}>All conflicts</a></p>`;
      const sides = { client: side(record, candidate), server: record.server };
      const choose = (keep, text) => resolve({ keep, head: merge?.head ?? record.server.stamp, seen: record.candidates.at(-1).n, ...(keep === "server" ? {} : { candidate: candidate.n }), ...(text === undefined ? {} : { text }) });
      return html`<${Title} text=${base(record.path)}><${Crumbs} path=${record.path} /><//>
        ${stale &&
        html`<div class="notice" role="alert">
          <p>The file was changed while you looked.</p>
          <button type="button" onClick=${lookAgain}>Look again</button>
        </div>`}
        ${kept && html`<details class="notice"><summary>What you had typed</summary><textarea readonly rows="6" aria-label="What you had typed">${kept}</textarea></details>`}
        <${Candidates} record=${record} chosen=${number ?? candidate.n} choose=${(n) => (setKept(typedTexts.get(id)), setNumber(n))} />
        ${!writes && html`<p class="notice">You may look, but your role here does not let you settle it.</p>`}
        <${Whole} sides=${sides} disabled=${!writes} choose=${choose} />
        ${merge?.mergeable
          ? html`<${MergeEditor} key=${`${candidate.n} ${merge.head}`} merge=${merge} texts=${texts} sides=${sides} writes=${writes} typed=${(text) => typedTexts.set(id, text)} save=${(text) => choose("merged", text)} />`
          : html`<${Beside} place=${place} record=${record} candidate=${candidate} reason=${merge?.reason} />`}`;
    }}
  <//>`;
}

/** The conflict, the candidate that is looked at, and the merge where there is one. */
async function read(place, number, signal) {
  const record = await ask("GET", place, { signal });
  const candidate = record.candidates.find((one) => one.n === number) ?? record.candidates.at(-1);
  if (record.state === "settled") return { record, candidate };
  const merge = await ask("GET", `${place}/merge`, { query: { candidate: candidate.n }, signal });
  if (!merge.mergeable) return { record, candidate, merge };
  const body = async (side) => decode((await bytes(`${place}/${side}`, { signal })).body);
  const [client, server, base] = await Promise.all([body(candidate.n), body("server"), record.base ? body("base") : ""]);
  return { record, candidate, merge, texts: { client, server, base } };
}

function side(record, candidate) {
  return { ...candidate, stamp: candidate.at, kind: "put" };
}

function Candidates({ record, chosen, choose }) {
  if (record.candidates.length < 2) return null;
  return html`<fieldset class="candidates">
    <legend>${record.candidates.length} edits wait beside the server's. Which one do you look at?</legend>
    ${record.candidates.map(
      (one) => html`<label key=${one.n}>
        <input type="radio" name="candidate" value=${one.n} checked=${one.n === chosen} onChange=${() => choose(one.n)} />
        <${Name} of=${one.device} /> <span class="quiet">(<${Name} of=${one.user} />, <${When} stamp=${one.at} />, ${size(one.size)})</span>
      </label>`,
    )}
  </fieldset>`;
}

/** The choices that take a file as a whole. */
function Whole({ sides, disabled, choose }) {
  const gone = sides.server?.kind === "delete";
  return html`<div class="acts whole">
    <${Act} disabled=${disabled} does=${() => choose("client")}>Keep <${Name} of=${sides.client.device} />'s<//>
    <${Act} disabled=${disabled} does=${() => choose("server")}>${gone ? "Leave it deleted" : html`Keep the server's (<${Name} of=${sides.server.device} />)`}<//>
    ${!gone && html`<${Act} disabled=${disabled} does=${() => choose("both")}>Keep both, as two files<//>`}
  </div>`;
}

const WHY = {
  "too-large": "These are too large to be merged here.",
  deleted: "The server's side was deleted meanwhile.",
  "no-base": "What both sides began with is not kept any more.",
};

/** Whatever is no text: both sides as they are. */
function Beside({ place, record, candidate, reason }) {
  const picture = isPicture(record.path);
  const show = (title, of, where) => html`<section class="side">
    <h2>${title}</h2>
    ${of && of.kind !== "delete"
      ? html`<p class="quiet">${size(of.size)}, <${When} stamp=${of.mtime ?? of.at ?? of.stamp} /></p>
          ${picture && html`<${Picture} src=${`${place}/${where}?inline=1`} label=${`${title}: ${plain(record.path)}`} />`}
          <p><a href=${`${place}/${where}`} download=${base(record.path)}>Download</a></p>`
      : html`<p class="quiet">There was none.</p>`}
  </section>`;
  return html`<p class="quiet">${!picture && (WHY[reason] ?? "These are no text that could be merged: decide for one side, or keep both.")}</p>
    <div class="sides">
      ${show(html`<${Name} of=${candidate.device} />`, { ...candidate, stamp: candidate.at }, candidate.n)}
      ${show(html`On the server (<${Name} of=${record.server.device} />)`, record.server, "server")}
    </div>
    ${record.base && html`<details class="original"><summary>What both began with</summary>${show("The original", record.base, "base")}</details>`}`;
}
