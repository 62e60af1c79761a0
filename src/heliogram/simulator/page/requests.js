// The stream of requests: the latest hundred, and how many there were of each outcome.

import { call } from "./api.js";
import { $, draw, h, keyed, mark, say, show, timeOf } from "./dom.js";
import { Source } from "./live.js";

const ROWS = 100;

export class Requests {
  constructor({ names }) {
    Object.assign(this, { names, requests: [], outcomes: {} });
    this.render = this.render.bind(this);
    this.source = new Source(() => call("GET", `/requests?limit=${ROWS}`), (answer) => {
      Object.assign(this, answer);
      draw(this.render);
    }, { gap: 500 });
    $("only-problems").addEventListener("change", () => draw(this.render));
  }

  get answered() {
    return Object.values(this.outcomes).reduce((sum, count) => sum + count, 0);
  }

  render() {
    const answered = this.answered;
    show($("no-requests"), answered === 0);
    const outcomes = Object.entries(this.outcomes).sort((a, b) => b[1] - a[1]).slice(0, 12);
    keyed($("outcomes"), outcomes, ([name]) => name, ([name]) => makeOutcome(name), (made, [, count]) => say(made.count, count.toLocaleString("en")));
    const problems = $("only-problems").checked;
    const rows = this.requests.filter((each) => !problems || isProblem(each));
    // In a burst all hundred rows are new at every look: a row that has left lends its element to a new one.
    keyed($("request-list"), rows, (request) => request.number % ROWS, makeRow, (made, request) => updateRow(made, request, this.names));
    const parts = [];
    if (answered > this.requests.length) parts.push(`The latest ${this.requests.length} of ${answered.toLocaleString("en")}.`);
    if (problems && rows.length === 0 && answered > 0) parts.push("No problem among them.");
    say($("more-requests"), parts.join(" "));
  }
}

const isProblem = ({ reason, findings, violations }) => reason !== null || findings.length > 0 || violations.length > 0;
const many = (count, one) => (count ? `${count} ${one}${count > 1 ? "s" : ""}` : "");

function makeOutcome(name) {
  const count = h("b");
  return Object.assign(h("li", { class: name === "Accepted" ? "good" : "bad" }, count, ` ${name}`), { count });
}

function makeRow() {
  const parts = {
    status: h("b", { class: "status" }), reason: h("span", { class: "reason" }), type: h("span", { class: "type" }),
    to: h("span", { class: "to" }), when: h("time"), marks: h("span", { class: "marks" }), facts: h("dl", { class: "facts" }), wrong: h("ul", { class: "wrong" }),
  };
  const summary = h("summary", {}, parts.status, parts.reason, parts.marks, parts.type, parts.to, parts.when);
  const details = h("details", {}, summary, parts.facts, parts.wrong);
  const made = Object.assign(h("li", {}, details), { parts, details });
  details.addEventListener("toggle", () => { if (details.open) fill(made); });
  return made;
}

function updateRow(made, request, names) {
  const { parts } = made;
  if (made.request && made.request.number !== request.number) made.details.open = false;
  made.request = request;
  mark(made, "data-kind", request.status < 300 ? (isProblem(request) ? "odd" : "good") : "bad");
  say(parts.status, String(request.status));
  say(parts.reason, request.reason ?? "Accepted");
  say(parts.marks, [many(request.findings.length, "finding"), many(request.violations.length, "violation")].filter(Boolean).join(", "));
  say(parts.type, request.pushType ?? request.method);
  say(parts.to, names(request.device) ?? request.topic ?? request.listener);
  say(parts.when, timeOf(request.at));
}

function fill({ request, parts }) {
  const facts = { Path: request.path, Topic: request.topic, "apns-id": request.apnsId, Listener: request.listener,
    Connection: request.connection, At: request.at };
  parts.facts.replaceChildren(...Object.entries(facts).filter(([, value]) => value !== null && value !== undefined && value !== "").flatMap(
    ([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))]));
  const wrong = [...request.findings.map((each) => ["Finding", each]), ...request.violations.map((each) => ["Violation", each])];
  parts.wrong.replaceChildren(...wrong.map(([what, each]) => h("li", {}, h("b", {}, what), ` ${each}`)));
}

/** What clients did against the rules, on whatever connection. */
export class Violations {
  constructor() {
    Object.assign(this, { violations: [], byRule: {} });
    this.render = this.render.bind(this);
    this.source = new Source(() => call("GET", "/violations?limit=50"), (answer) => {
      Object.assign(this, answer);
      draw(this.render);
    }, { gap: 500 });
  }

  render() {
    const rules = Object.entries(this.byRule).sort((a, b) => b[1] - a[1]);
    const total = rules.reduce((sum, [, count]) => sum + count, 0);
    show($("violations"), total > 0);
    say($("violations-title"), `${total.toLocaleString("en")} violation${total === 1 ? "" : "s"}`);
    keyed($("violation-rules"), rules.slice(0, 20), ([name]) => name, ([name]) => makeOutcome(name), (made, [, count]) => say(made.count, count.toLocaleString("en")));
    const seen = new Map();
    const rows = this.violations.toReversed().map((each) => {
      const same = JSON.stringify(each);
      seen.set(same, (seen.get(same) ?? 0) + 1);
      return { each, key: `${same} ${seen.get(same)}` };
    }).toReversed();
    keyed($("violation-list"), rows, (row) => row.key, ({ each }) => h("li", {}, h("p", {}, h("b", {}, each.rule), ` ${each.text} `,
      h("span", { class: "note" }, `${timeOf(each.at)} · connection ${each.connection}`))), () => {});
  }
}
