// The machines that have a password of their own and the browsers that are signed in, and taking one back.

import { html, useContext } from "./vendor/preact.js";
import { ask, at } from "./api.js";
import { Act, Loaded, Name, Tell, Title, When, useLoad } from "./parts.js";
import { plain } from "./names.js";

const PLACE = at("/v1/devices");
const SESSIONS = at("/v1/sessions");

export function Devices() {
  const tell = useContext(Tell);
  const devices = useLoad(async (signal) => (await ask("GET", PLACE, { signal })).devices, []);
  const revoke = async (name) => {
    if (!confirm(`${plain(name)} will not get in any more, and has to be connected anew. Go on?`)) return;
    await ask("DELETE", `${PLACE}/${encodeURIComponent(name)}`);
    await devices.reload();
    tell(`${plain(name)} is out.`);
  };
  return html`<${Title} text="Your devices" />
    <p>Each of these has a password of its own. Take back one that is lost: the others go on, and what it wrote stays.</p>
    <${Loaded} of=${devices}>
      ${(rows) =>
        rows.length
          ? html`<ul class="rows">
              ${rows.map(
                (row) => html`<li key=${row.name} class="row">
                  <strong class="grow"><${Name} of=${row.name} /></strong>
                  <span class="quiet when">since <${When} stamp=${row.added} /></span>
                  <${Act} does=${() => revoke(row.name)} label=${`Revoke ${plain(row.name)}`}>Revoke<//>
                </li>`,
              )}
            </ul>`
          : html`<p class="quiet">None yet. An invitation makes one: see About in a vault.</p>`}
    <//>
    <${Browsers} />
    <p><a href="#/">All vaults</a></p>`;
}

function Browsers() {
  const tell = useContext(Tell);
  const sessions = useLoad(async (signal) => (await ask("GET", SESSIONS, { signal })).sessions, []);
  const end = async (row) => {
    await ask("DELETE", `${SESSIONS}/${encodeURIComponent(row.id)}`);
    await sessions.reload();
    tell(`${browser(row.agent)} is signed out.`);
  };
  return html`<h2>Signed in</h2>
    <p>Browsers in which you are signed in. Sign out one that is not yours, and have your password changed.</p>
    <${Loaded} of=${sessions}>
      ${(rows) =>
        html`<ul class="rows">
          ${rows.map(
            (row) => html`<li key=${row.id} class="row">
              <span class="grow" title=${plain(row.agent)}><strong>${browser(row.agent)}</strong>${row.device && html` as <${Name} of=${row.device} />`}</span>
              <span class="quiet when">since <${When} stamp=${row.began} /></span>
              ${row.current
                ? html`<span class="quiet">this one</span>`
                : html`<${Act} does=${() => end(row)} label=${`Sign out ${browser(row.agent)}`}>Sign out<//>`}
            </li>`,
          )}
        </ul>`}
    <//>`;
}

/** What people call it: the first word that fits, for browsers name each other, too. */
function browser(agent) {
  const word = ["Edg", "OPR", "Firefox", "Chrom", "Safari"].find((one) => agent.includes(one));
  const system = ["Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux"].find((one) => agent.includes(one));
  if (!word) return plain(agent.slice(0, 40)) || "A browser";
  const name = { Edg: "Edge", OPR: "Opera", Chrom: "Chrome" }[word] ?? word;
  return system ? `${name} on ${system}` : name;
}
