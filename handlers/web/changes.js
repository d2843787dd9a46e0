// What changed lately, on which machine, and the way to take it back.

import { html, useContext } from "./vendor/preact.js";
import { address, ask } from "./api.js";
import { clock, count, day, made } from "./format.js";
import { verb } from "./file.js";
import { Name, Paged, Place, Title, Who, link, useLiveReload, usePages } from "./parts.js";

const PAGE = 100;
const SHOWN = 8;
const BURST_US = 10 * 60 * 1e6;

export function Changes({ query }) {
  const { name, writes } = useContext(Place);
  const { device, user, prefix } = query;
  const pages = usePages(
    async (before) => {
      const page = await ask("GET", address(name, "log"), { query: { before, device, user, prefix, limit: PAGE } });
      return { rows: page.versions, next: page.next };
    },
    [name, device, user, prefix],
  );
  useLiveReload(pages.changed, (message) => message.changes);
  const bursts = group(pages.rows ?? []);
  return html`<${Title} text="Changes" />
    ${(device || prefix) &&
    html`<p class="notice">
      Only ${device && html`what <${Name} of=${device} /> did`} ${prefix && html`below <${Name} of=${prefix} />`}.
      ${" "}<a href=${link(name, "changes")}>Show everything</a>
    </p>`}
    <${Paged} of=${pages}>
      ${pages.rows?.length === 0 && !pages.next && html`<p>Nothing was changed yet.</p>`}
      ${bursts.map((burst) => html`<${Burst} key=${burst.rows[0].stamp} vault=${name} burst=${burst} writes=${writes} filtered=${device} />`)}
    <//>`;
}

/** Neighbours of one device that are close in time. */
function group(rows) {
  const bursts = [];
  for (const row of rows) {
    const last = bursts.at(-1);
    const near = last && last.device === row.device && last.user === row.user && made(last.rows.at(-1)) - made(row) < BURST_US;
    if (near) last.rows.push(row);
    else bursts.push({ device: row.device, user: row.user, rows: [row] });
  }
  return bursts;
}

function Burst({ vault, burst, writes, filtered }) {
  const { device, user, rows } = burst;
  const first = rows.at(-1);
  const list = (some) => html`<ul class="rows" aria-label=${`Changes on ${device}`}>
    ${some.map(
      (row) => html`<li key=${row.stamp} class="row">
        <span class=${`verb ${row.kind}`}>${verb(row)}</span>
        <a class="grow" href=${link(vault, "file", row.path)}><${Name} of=${row.path} /></a>
        <span class="quiet when">${clock(made(row))}</span>
      </li>`,
    )}
  </ul>`;
  return html`<section class="burst">
    <h2>
      <${Who} of=${burst} /> <span class="quiet">${day(made(first))}, ${clock(made(first))}: ${count(rows.length, "change")}</span>
    </h2>
    <p class="acts">
      ${!filtered && html`<a href=${link(vault, "changes", "", { device, user })}>Only this device</a>`}
      ${writes && html`<a href=${link(vault, "undo", "", { device, user, since: first.stamp - 1 })}>Take back from here on…</a>`}
    </p>
    ${list(rows.slice(0, SHOWN))}
    ${rows.length > SHOWN && html`<details><summary>${count(rows.length - SHOWN, "more change", "more changes")}</summary>${list(rows.slice(SHOWN))}</details>`}
  </section>`;
}
