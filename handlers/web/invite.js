// An invitation, opened in a browser: what to run where, and the same as a QR code. Looking does not use it up.

import { html, useEffect, useState } from "./vendor/preact.js";
import { SERVER } from "./api.js";
import { Name, Title } from "./parts.js";

export const INVITE = "#invite=";

const FORM = /^([a-z0-9][a-z0-9._-]{0,63})\/[a-z2-7]{32}(?:\/[^/]+)?$/;
const LOOPBACK = /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/;
const QUIET = 4; // squares around the code, without which cameras do not find it

/** What a shell takes as one word. */
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

export function Invite({ hash }) {
  const found = FORM.exec(hash.slice(INVITE.length));
  if (!found)
    return html`<main id="main">
      <${Title} text="This is no whole invitation" />
      <p>A part of the address is missing. Copy all of it, or ask for a new one.</p>
      <p><a href="#/">All vaults</a></p>
    </main>`;
  const code = `${SERVER}/${hash}`;
  const plain = location.protocol === "http:" && !LOOPBACK.test(location.hostname);
  return html`<main id="main">
    <${Title} text="Connect a machine" />
    <p>On the machine that is to have a folder of <strong><${Name} of=${found[1]} /></strong>, run:</p>
    <pre class="command">gobi connect FOLDER ${quoted(code)}${plain ? " --insecure" : ""}</pre>
    <p class="quiet">
      Put the folder's name for FOLDER; nothing else is asked. The code is good for one machine, and not for long. This page
      has not used it up.
    </p>
    <${Picture} of=${code} />
    <p><a href="#/">All vaults</a></p>
  </main>`;
}

function Picture({ of }) {
  const [squares, setSquares] = useState(null);
  useEffect(() => {
    import("./vendor/qr.js").then(({ encode }) => setSquares(encode(of, { border: QUIET }).data));
  }, [of]);
  if (!squares) return null;
  const size = squares.length;
  const dark = squares.flatMap((row, y) => row.map((on, x) => (on ? `M${x} ${y}h1v1h-1z` : ""))).join("");
  return html`<figure class="qr">
    <svg viewBox=${`0 0 ${size} ${size}`} role="img" aria-label="The code as a picture" shape-rendering="crispEdges">
      <rect width=${size} height=${size} fill="#fff" />
      <path d=${dark} fill="#000" />
    </svg>
    <figcaption class="quiet">The same code, to bring this page to another screen.</figcaption>
  </figure>`;
}
