// The row of phones: only those in view exist in the document, whether there are ten of them or ten thousand.

import { call } from "./api.js";
import { $, draw, keyed, say, show } from "./dom.js";
import { Source } from "./live.js";
import { appName, makePhone, updatePhone, visible } from "./phone.js";

const STEP = 316; // a phone and the gap beside it, as in style.css
const SPARE = 1;
const SPOKEN = 3; // arrivals read out one by one; more at a time are counted

export class Phones {
  constructor(now) {
    Object.assign(this, { now, total: 0, matching: 0, first: 0, phones: [], seen: new Map(), loaded: false });
    this.render = this.render.bind(this);
    this.row = $("row");
    this.source = new Source(() => this.read(), (answer) => this.shown(answer));
    this.row.addEventListener("scroll", () => this.moved(), { passive: true });
    new ResizeObserver(() => this.moved()).observe(this.row);
    $("search").addEventListener("input", () => { this.row.scrollLeft = 0; this.source.touch(); });
    $("earlier").addEventListener("click", () => this.turn(-1));
    $("later").addEventListener("click", () => this.turn(1));
  }

  /** The first phone in view, and how many there are at most. */
  get view() {
    return { from: Math.floor(this.row.scrollLeft / STEP), count: Math.max(1, Math.ceil(this.row.clientWidth / STEP)) };
  }

  read() {
    const { from, count } = this.view;
    const first = Math.max(0, from - SPARE);
    const limit = Math.min(50, count + 2 * SPARE + 1);
    return call("GET", `/phones?${new URLSearchParams({ first, limit, search: $("search").value.slice(0, 200) })}`);
  }

  shown(answer) {
    this.reveal ||= Boolean(this.follow) && answer.matching > this.matching;
    if (this.reveal) this.follow = false;
    Object.assign(this, answer, { loaded: true });
    this.announce();
    draw(this.render);
  }

  moved() {
    const { from, count } = this.view;
    const until = Math.min(from + count, this.matching);
    if (from < this.first || until > this.first + this.phones.length) this.source.touch();
    draw(this.render);
  }

  turn(direction) {
    const whole = Math.max(1, Math.floor(this.row.clientWidth / STEP));
    this.row.scrollBy({ left: direction * whole * STEP, behavior: "instant" });
  }

  find(deviceId) {
    return this.phones.find((phone) => phone.device.id === deviceId);
  }

  render() {
    const { matching, total, first, phones } = this;
    show(this.row, total > 0);
    $("track").style.width = `${Math.max(0, matching * STEP - 16)}px`;
    if (this.reveal) this.row.scrollLeft = matching * STEP; // a phone was added: it is the last
    this.reveal = false;
    const { from, count } = this.view;
    show($("start"), this.loaded && total === 0);
    const many = total * STEP > this.row.clientWidth + 16 || $("search").value !== "";
    show($("search-label"), many);
    show($("pager"), many);
    const places = phones.map((phone, n) => ({ phone, place: first + n }));
    keyed($("track"), places, ({ phone }) => phone.device.id, ({ phone }) => makePhone(phone), (made, { phone, place }) => {
      made.style.transform = `translateX(${place * STEP}px)`;
      updatePhone(made, phone, this.now());
    });
    const last = Math.min(matching, from + Math.max(1, Math.floor(this.row.clientWidth / STEP)));
    say($("window"), matching ? `${from + 1} to ${last} of ${matching.toLocaleString("en")}` : "none found");
    $("earlier").disabled = from === 0;
    $("later").disabled = last >= matching;
  }

  /** Say what has arrived on the phones in view since they were looked at before. */
  announce() {
    const before = this.seen;
    this.seen = new Map();
    const arrived = [];
    for (const { device, notifications } of this.phones) {
      const known = before.get(device.id);
      this.seen.set(device.id, new Set(notifications.map((note) => note.apnsId)));
      if (!known) continue;
      for (const note of notifications) if (!known.has(note.apnsId) && visible(note)) arrived.push({ device, note });
    }
    if (arrived.length === 0) return;
    const texts = arrived.length > SPOKEN
      ? [`${arrived.length} notifications have arrived`]
      : arrived.map(({ device, note }) => `${device.name}, ${appName(note.topic)}: ${[note.title, note.subtitle, note.body].filter(Boolean).join(". ") || "a notification"}`);
    say($("announcer"), texts.join("; "));
  }
}
