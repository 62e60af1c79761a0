// What happens in the simulator, and when to read anew what is shown of it.

/**
 * One thing that is read from the simulator and shown. `touch()` says that it has changed: it is read again, never
 * twice at a time, at most every `gap` ms, and not at all while the page is hidden.
 */
export class Source {
  constructor(read, shown, { gap = 250 } = {}) {
    Object.assign(this, { read, shown, gap, dirty: false, busy: false, last: -Infinity, timer: 0 });
  }

  touch() {
    this.dirty = true;
    this.consider();
  }

  consider() {
    if (!this.dirty || this.busy || this.timer || document.hidden) return;
    const wait = this.last + this.gap - performance.now();
    if (wait <= 0) this.load();
    else this.timer = setTimeout(() => { this.timer = 0; this.consider(); }, wait);
  }

  async load() {
    this.dirty = false;
    this.busy = true;
    this.last = performance.now();
    try {
      this.shown(await this.read());
    } catch {
      // The stream of events tells when the simulator is back; then everything is read again.
    } finally {
      this.busy = false;
      this.consider();
    }
  }
}

/** Follow the simulator. `happened(kinds)`: which kinds of things have happened, at most ten times a second. */
export function follow({ ready, happened, state }) {
  const stream = new EventSource("/events?counts=true");
  stream.addEventListener("ready", () => { state("live"); ready(); });
  stream.addEventListener("counts", (message) => happened(Object.keys(JSON.parse(message.data).counts)));
  stream.onerror = () => {
    state("lost");
    if (stream.readyState === EventSource.CLOSED) setTimeout(() => follow({ ready, happened, state }), 2000);
  };
}
