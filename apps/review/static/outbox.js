// What was decided and is not stored yet: kept in this tab until the server has it, sent again with the same nonce.
// One decision at a time: the page moves on when the server has said that the row is there.

const WAITS_MS = [400, 800, 1600, 3200, 6400];
const ANSWERED_WITHIN_MS = 120_000; // by two models; all else in htmx's own time
const KEPT_FOR_LATER = [401, 403]; // the session has ended: sent when the person is back

function nonce() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Outbox {
  // told: { held() -> ids of the cards here, stored(), waiting(), refused(text, isKept) }
  constructor(name, told) {
    this.name = name;
    this.told = told;
    this.tries = 0;
    this.entry = JSON.parse(sessionStorage.getItem(name));
    document.body.addEventListener("htmx:afterRequest", (event) => this.#answered(event.detail));
    document.body.addEventListener("htmx:configRequest", ({ detail }) => {
      if (detail.path === "/questions") detail.timeout = ANSWERED_WITHIN_MS;
    });
    addEventListener("online", () => this.#again());
  }

  get isBusy() {
    return this.entry !== null;
  }

  put(path, values) {
    this.entry = { path, values: { ...values, nonce: nonce() } };
    sessionStorage.setItem(this.name, JSON.stringify(this.entry));
    this.resume();
  }

  resume() {
    const values = { ...this.entry.values, holding: this.told.held().join(" ") };
    htmx.ajax("POST", this.entry.path, { values, swap: "none" }).catch(() => {}); // told by the event
  }

  #answered({ xhr, requestConfig }) {
    if (!this.entry || requestConfig.parameters.nonce !== this.entry.values.nonce) return;
    if (xhr.status === 0 || xhr.status === 429 || xhr.status >= 500) return this.#later();
    this.tries = 0;
    if (KEPT_FOR_LATER.includes(xhr.status)) return this.told.refused(xhr.responseText, true);
    this.entry = null;
    sessionStorage.removeItem(this.name);
    if (xhr.status === 200 || xhr.status === 409) this.told.stored();
    else this.told.refused(xhr.responseText, false);
  }

  #later() {
    const wait = WAITS_MS[Math.min(this.tries++, WAITS_MS.length - 1)];
    this.timer = setTimeout(() => this.#again(), wait);
    this.told.waiting();
  }

  #again() {
    if (!this.timer) return;
    clearTimeout(this.timer);
    this.timer = null;
    if (this.entry) this.resume();
  }
}
