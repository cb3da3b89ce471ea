// The time that a card was in view, in whole milliseconds: a hidden tab does not count.

export class Stopwatch {
  constructor() {
    this.start(0);
    document.addEventListener("visibilitychange", () => this.#turn());
  }

  start(milliseconds) {
    this.before = milliseconds;
    this.shownAt = performance.now();
    this.since = document.hidden ? null : this.shownAt;
  }

  get milliseconds() {
    return Math.round(this.before + (this.since === null ? 0 : performance.now() - this.since));
  }

  get sinceShown() {
    return performance.now() - this.shownAt;
  }

  #turn() {
    this.before = this.milliseconds;
    this.since = document.hidden ? null : performance.now();
  }
}
