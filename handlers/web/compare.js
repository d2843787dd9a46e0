// Two versions of a file beside each other.

import { html, useContext } from "./vendor/preact.js";
import { address, ask, bytes } from "./api.js";
import { base, isPicture, made, size } from "./format.js";
import { Crumbs } from "./files.js";
import { Picture } from "./file.js";
import { Loaded, Place, Title, When, Who, link, useLoad } from "./parts.js";
import { Shadow, look } from "./shadow.js";
import { decode } from "./text.js";

const MOST = 1024 * 1024;
const NARROW = "(max-width: 50rem)";

export function Compare({ path, query }) {
  const { name } = useContext(Place);
  const place = address(name, "files", path);
  const both = useLoad(
    async (signal) => {
      const read = async (stamp) => {
        const before = Number(stamp) + 1;
        const [version] = (await ask("GET", address(name, "history", path), { query: { before, limit: 1 }, signal })).versions;
        if (isPicture(path) || version.size > MOST) return { version };
        const { body } = await bytes(place, { query: { stamp }, signal });
        return { version, text: decode(body) };
      };
      return Promise.all([read(query.from), read(query.to)]);
    },
    [name, path, query.from, query.to],
  );
  return html`<${Title} text=${base(path)}><${Crumbs} path=${path} /><//>
    <p><a href=${link(name, "file", path)}>All versions</a></p>
    <${Loaded} of=${both}>
      ${(sides) => {
        const text = sides.every((side) => side.text != null);
        const heads = html`<div class="sides heads">
          ${sides.map(({ version }) => html`<p key=${version.stamp}><strong><${When} stamp=${made(version)} /></strong> <span class="quiet">on <${Who} of=${version} />, ${size(version.size)}</span></p>`)}
        </div>`;
        if (text && sides[0].text === sides[1].text) return html`${heads}<p>These two are the same.</p>`;
        if (text) return html`${heads}<${Differences} older=${sides[0].text} newer=${sides[1].text} />`;
        return html`${heads}<div class="sides">
            ${sides.map(({ version }) => html`<div key=${version.stamp}>
              ${isPicture(path)
                ? html`<${Picture} src=${`${place}?stamp=${version.stamp}&inline=1`} label="" />`
                : html`<a href=${`${place}?stamp=${version.stamp}`} download=${base(path)}>Download</a>`}
            </div>`)}
          </div>
          ${!isPicture(path) && html`<p class="quiet">${sides.some((side) => side.version.size > MOST) ? "These are too large to be compared here." : "These are no text: nothing can be compared here."}</p>`}`;
      }}
    <//>`;
}

function Differences({ older, newer }) {
  const build = (parent, root, library) => {
    const { EditorState, EditorView, MergeView, lineNumbers, unifiedMergeView } = library;
    const common = [
      look(library),
      lineNumbers(),
      EditorState.readOnly.of(true),
      EditorState.lineSeparator.of("\n"),
      EditorView.lineWrapping,
      EditorView.contentAttributes.of({ "aria-label": "Differences" }),
    ];
    const collapseUnchanged = { margin: 3, minSize: 6 };
    if (matchMedia(NARROW).matches) {
      const extensions = [common, unifiedMergeView({ original: older, mergeControls: false, collapseUnchanged })];
      const view = new EditorView({ doc: newer, extensions, parent, root });
      return () => view.destroy();
    }
    const view = new MergeView({ a: { doc: older, extensions: common }, b: { doc: newer, extensions: common }, parent, root, collapseUnchanged });
    return () => view.destroy();
  };
  return html`<${Shadow} build=${build} needs=${[older, newer]} label="Differences" />`;
}
