// What a vault holds, who may see it, and how it settles conflicts.

import { html, useContext } from "./vendor/preact.js";
import { address, ask, SERVER } from "./api.js";
import { count, size } from "./format.js";
import { Act, Name, Place, Tell, Title } from "./parts.js";

const ROLES = { read: "may read", write: "may read and write", owner: "owner" };

export function About() {
  const { name, info, reload } = useContext(Place);
  const tell = useContext(Tell);
  const merge = async (on) => {
    await ask("PATCH", address(name), { json: { auto_merge: on } });
    await reload();
    tell(on ? "From now on, edits in different places of a text are merged at once." : "From now on, every conflict waits for you.");
  };
  const invite = async () => {
    const { code } = await ask("POST", address(name, "invitations"), { json: {} });
    location.hash = code.slice(code.indexOf("#"));
  };
  return html`<${Title} text="About this vault" />
    ${!info && html`<p class="quiet" role="status">Loading…</p>`}
    ${info &&
    html`<dl class="facts">
        <dt>Files</dt>
        <dd>${count(info.files, "file")}, ${size(info.bytes)}</dd>
        <dt>Kept in all</dt>
        <dd>${size(info.stored)} with older versions${info.quota ? `, of ${size(info.quota)} allowed` : ""}</dd>
        <dt>Open conflicts</dt>
        <dd>${info.conflicts}</dd>
        <dt>People</dt>
        <dd>
          <ul class="bare">
            ${Object.entries(info.members).map(([user, role]) => html`<li key=${user}><${Name} of=${user} />: ${ROLES[role]}</li>`)}
          </ul>
        </dd>
        <dt>Both sides edited one text</dt>
        <dd>
          ${info.auto_merge
            ? "Edits in different places are merged at once; the rest waits in Conflicts."
            : "It waits in Conflicts until somebody decides."}
          ${info.role === "owner" &&
          html`<p><${Act} does=${() => merge(!info.auto_merge)}>${info.auto_merge ? "Let every conflict wait" : "Merge clean cases at once"}<//></p>`}
        </dd>
      </dl>
      <h2>Connect another machine</h2>
      <p><${Act} does=${invite}>Make an invitation<//> <span class="quiet">It gets a password of its own, which you can take back.</span></p>
      <p>Or with your own password:</p>
      <pre class="command">gobi connect FOLDER ${SERVER} ${name} --user YOU</pre>`}`;
}
