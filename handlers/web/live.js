// The vault's live socket (docs/protocol.md, section 7). A message only hurries the page: losing one costs time, and
// after every gap the views are told to look again.

import { address } from "./api.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;

export class Live {
  /** `tell` gets every message, `{type: "wake"}` after a gap, and `{type: "state", connected}`. */
  constructor(vault, tell) {
    this.vault = vault;
    this.tell = tell;
    this.cursor = null;
    this.wait = FIRST_WAIT_MS;
    this.connect();
  }

  connect() {
    const url = new URL(address(this.vault, "live"), location.href);
    url.protocol = url.protocol.replace("http", "ws");
    if (this.cursor) url.searchParams.set("cursor", this.cursor);
    this.socket = new WebSocket(url, ["gobi.v1"]);
    this.socket.onmessage = (event) => this.receive(JSON.parse(event.data));
    this.socket.onclose = (event) => this.closed(event.code);
  }

  receive(message) {
    if (message.type === "hello") {
      this.wait = FIRST_WAIT_MS;
      this.tell({ type: "state", connected: true });
      if (!this.cursor) this.cursor = message.cursor;
      return;
    }
    if (message.cursor) this.cursor = message.cursor;
    this.tell(message);
  }

  closed(code) {
    if (this.stopped) return;
    this.tell({ type: "state", connected: false });
    if (code === 1008) this.tell({ type: "wake" }); // not allowed any more: whatever looks again is told so
    const wait = this.wait * (0.5 + Math.random());
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MS);
    this.timer = setTimeout(() => this.connect(), wait);
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
    this.socket.close();
  }
}
