// The small panels: connections, clock, faults.

import { call } from "./api.js";
import { $, draw, h, keyed, say } from "./dom.js";
import { Source } from "./live.js";

const LIMIT = 50;

export class Connections {
  constructor({ failed }) {
    Object.assign(this, { failed, connections: [] });
    this.render = this.render.bind(this);
    this.source = new Source(() => call("GET", "/connections"), (answer) => { this.connections = answer.connections; draw(this.render); }, { gap: 500 });
    $("connection-list").addEventListener("click", (event) => this.pressed(event.target.closest("button")));
  }

  render() {
    const open = this.connections;
    say($("no-connections"), open.length === 0 ? "None open. A client that keeps its connection, as Apple asks, stays here."
      : open.length > LIMIT ? `The latest ${LIMIT} of ${open.length} open.` : `${open.length} open.`);
    keyed($("connection-list"), open.slice(-LIMIT).toReversed(), (each) => each.number, makeConnection, updateConnection);
  }

  async pressed(button) {
    if (!button) return;
    const path = `/connections/${button.dataset.number}`;
    try {
      await (button.dataset.break === "cut" ? call("DELETE", path) : call("POST", `${path}/goaway`, {}));
    } catch (problem) {
      this.failed(problem);
    }
    this.source.touch();
  }
}

function makeConnection({ number }) {
  const facts = h("span", { class: "note" });
  const button = (label, act, title) => h("button", { type: "button", "data-break": act, "data-number": number, title, "aria-label": `${label} connection ${number}` }, label);
  return Object.assign(h("li", {}, h("p", {}, h("strong", {}, `Connection ${number} `), facts),
    h("div", { class: "buttons" }, button("Retire", "retire", "GOAWAY: what is open is answered first"), button("Cut", "cut", "Without a word"))), { facts });
}

function updateConnection(made, each) {
  const parts = [each.listener.replace("_", " "), each.team && `team ${each.team}`, each.certificate && "certificate",
    `${each.requests.toLocaleString("en")} requests`, `${each.openStreams} of ${each.streamLimit} streams`];
  say(made.facts, parts.filter(Boolean).join(" · "));
}

export class Clock {
  constructor({ failed, moved }) {
    Object.assign(this, { offset: 0, moved });
    this.source = new Source(() => call("GET", "/clock"), (reading) => this.read(reading));
    $("clock-steps").addEventListener("click", async ({ target }) => {
      const step = target.dataset?.advance;
      if (!step) return;
      try {
        this.read(await call("POST", "/clock", step === "reset" ? { reset: true } : { advance: Number(step) }));
      } catch (problem) {
        failed(problem);
      }
    });
  }

  /** Milliseconds: the simulator's time, which may be far from this computer's. */
  now() {
    return Date.now() + this.offset;
  }

  read(reading) {
    this.offset = reading.now * 1000 - Date.now();
    say($("clock-offset"), Math.abs(reading.offset) < 1 ? "real time" : `${lasting(reading.offset)} ${reading.offset > 0 ? "ahead" : "behind"}`);
    this.render();
    this.moved();
  }

  render() {
    say($("clock-now"), new Date(this.now()).toLocaleString());
  }
}

function lasting(seconds) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  let left = Math.round(Math.abs(seconds));
  const parts = [];
  for (const [name, size] of units) {
    if (left >= size) parts.push(`${Math.floor(left / size)} ${name}`);
    left %= size;
  }
  return parts.slice(0, 2).join(" ");
}

/** What can go wrong, as people call it, and as `POST /faults` has it. */
const FAULTS = [
  ["503 ServiceUnavailable", { kind: "status", reason: "ServiceUnavailable" }],
  ["500 InternalServerError", { kind: "status", reason: "InternalServerError" }],
  ["429 TooManyRequests", { kind: "status", reason: "TooManyRequests" }],
  ["Answer 2 s late", { kind: "delay", delayMs: 2000 }],
  ["No answer, though it arrives", { kind: "silence", processed: true }],
  ["Stream reset: REFUSED_STREAM", { kind: "reset", code: "REFUSED_STREAM" }],
  ["GOAWAY, orderly", { kind: "goaway", style: "graceful" }],
  ["GOAWAY, abrupt", { kind: "goaway", style: "abrupt" }],
  ["Connection cut without a word", { kind: "close" }],
  ["Half-open: reads, says nothing more", { kind: "halfOpen" }],
  ["One stream at a time", { kind: "streamLimit", streamLimit: 1 }],
];

export class Faults {
  constructor({ failed }) {
    Object.assign(this, { failed, faults: [], reachable: true });
    this.render = this.render.bind(this);
    this.source = new Source(
      async () => ({ ...(await call("GET", "/faults")), ...(await call("GET", "/network")) }),
      (answer) => { Object.assign(this, answer); draw(this.render); },
      { gap: 500 },
    );
    const form = $("fault-form");
    form.elements.what.append(...FAULTS.map(([name], n) => h("option", { value: n }, name)));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const times = form.elements.times.valueAsNumber;
      this.change(() => call("POST", "/faults", { ...FAULTS[form.elements.what.value][1], ...(times ? { next: times } : {}) }));
    });
    $("network").addEventListener("change", ({ target }) => this.change(() => call("PUT", "/network", { reachable: target.checked })));
    $("fault-list").addEventListener("click", ({ target }) => {
      const id = target.closest("button")?.dataset.fault;
      if (id) this.change(() => call("DELETE", `/faults/${id}`));
    });
  }

  async change(work) {
    try {
      await work();
    } catch (problem) {
      this.failed(problem);
    }
    this.source.touch();
  }

  render() {
    $("network").checked = this.reachable;
    keyed($("fault-list"), this.faults, (each) => each.id, makeFault, (made, each) => {
      const left = each.left === null ? "" : `, ${each.left} to come`;
      say(made.facts, `happened ${each.hits} times${left}`);
    });
  }
}

function makeFault({ id, kind, fault }) {
  const facts = h("span", { class: "note" });
  const name = [kind, fault.reason, fault.style, fault.code, fault.delayMs && `${fault.delayMs} ms`].filter(Boolean).join(" ");
  return Object.assign(h("li", {}, h("p", {}, h("strong", {}, name), " ", facts),
    h("div", { class: "buttons" }, h("button", { type: "button", "data-fault": id, "aria-label": `Mend ${name}` }, "Mend"))), { facts });
}
