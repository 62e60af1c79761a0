// One virtual phone: its lock screen, its apps, its log.

import { h, keyed, mark, say, show, timeOf } from "./dom.js";

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const LEVELS = { "time-sensitive": "Time sensitive", critical: "Critical", passive: "Passive" };

const hue = (text) => [...text].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
const short = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);
const appOf = (topic) => topic.replace(/\.(voip(-ptt)?|complication|location-query|pushkit\.fileprovider|push-type\.\w+)$/, "");

export const appName = (bundleId) => {
  const last = bundleId.split(".").at(-1) || bundleId;
  return last[0].toUpperCase() + last.slice(1);
};

/** What people see of a notification; background pushes and the like they do not. */
export const visible = (note) => note.presentation !== "none";
const isCard = (note) => note.presentation === "card";
const id = (note) => `${note.apnsId} ${note.receivedAt}`;

export function ago(stamp, now) {
  const seconds = Math.max(0, (now - Date.parse(stamp)) / 1000);
  if (seconds < 60) return "now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return seconds < 86400 ? `${Math.floor(seconds / 3600)} h ago` : `${Math.floor(seconds / 86400)} d ago`;
}

function icon(bundleId) {
  const made = h("span", { class: "icon", "aria-hidden": "true" }, appName(bundleId)[0]);
  made.style.setProperty("--hue", hue(bundleId));
  return made;
}

function button(label, act, attributes = {}) {
  return h("button", { type: "button", "data-act": act, ...attributes }, label);
}

// --- the lock screen ---

function makeNote(note) {
  const parts = {
    app: h("span", { class: "app" }), when: h("time"), level: h("span", { class: "level" }),
    title: h("strong"), subtitle: h("span", { class: "subtitle" }), body: h("span", { class: "body" }),
    payload: h("pre", { tabindex: "0" }), more: h("dl", { class: "facts" }),
  };
  const line = h("span", { class: "line" }, icon(appOf(note.topic)), parts.app, parts.level, parts.when);
  const summary = h("summary", {}, line, parts.title, parts.subtitle, parts.body);
  const details = h("details", {}, summary, parts.more, parts.payload);
  const made = h("li", { class: "note", "data-note": id(note) }, details);
  details.addEventListener("toggle", () => { if (details.open) fillNote(made); });
  made.parts = parts;
  return made;
}

function fillNote(made) {
  const { note, parts } = made;
  const facts = { "apns-id": note.apnsId, "collapse id": note.collapseId, thread: note.threadId, priority: note.priority,
    category: note.category, sound: note.sound && JSON.stringify(note.sound), wrong: note.findings?.join("; ") };
  parts.more.replaceChildren(...Object.entries(facts).filter(([, value]) => value).flatMap(
    ([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))]));
  say(parts.payload, JSON.stringify(note.payload, null, 2));
}

function updateNote(made, note, now) {
  const { parts } = made;
  made.note = note;
  say(parts.app, appName(appOf(note.topic)));
  say(parts.when, ago(note.receivedAt, now));
  say(parts.level, LEVELS[note.interruptionLevel] ?? "");
  mark(made, "data-level", note.interruptionLevel);
  say(parts.title, note.title ?? "");
  say(parts.subtitle, note.subtitle ?? "");
  say(parts.body, note.body ?? (note.title ? "" : "(no text)"));
  for (const part of [parts.title, parts.subtitle, parts.body, parts.level]) show(part, part.textContent !== "");
}

/** Newest first; those of one thread of one app under the newest of them. */
function threads(notes) {
  const found = new Map();
  for (const note of notes.toReversed()) {
    const key = note.threadId ? `${note.topic} ${note.threadId}` : id(note);
    if (!found.has(key)) found.set(key, { key, thread: note.threadId, notes: [] });
    found.get(key).notes.push(note);
  }
  return [...found.values()];
}

function makeThread() {
  const list = h("ul", { class: "stack" });
  const more = h("button", { type: "button", class: "more", "aria-expanded": "false" });
  const made = h("li", { class: "thread" }, list, more);
  more.addEventListener("click", () => {
    made.open = !made.open;
    updateThread(made, made.group, made.now);
  });
  return Object.assign(made, { list, more, open: false });
}

function updateThread(made, group, now) {
  Object.assign(made, { group, now });
  const hidden = made.open ? 0 : group.notes.length - 1;
  keyed(made.list, made.open ? group.notes : group.notes.slice(0, 1), id, makeNote, (each, note) => updateNote(each, note, now));
  show(made.more, group.notes.length > 1);
  mark(made.more, "aria-expanded", String(made.open));
  say(made.more, hidden ? `${hidden} more in “${short(group.thread ?? "", 30)}”` : "Show less");
  mark(made, "data-stacked", hidden ? "" : null);
}

function makeCard(card) {
  const parts = { name: h("strong"), state: h("span", { class: "level" }), when: h("time"), facts: h("dl", { class: "facts" }) };
  return Object.assign(h("li", { class: "activity" }, h("span", { class: "line" }, icon(card.bundleId), parts.name, parts.state, parts.when), parts.facts), { parts });
}

function updateCard(made, card, now) {
  const { parts } = made;
  say(parts.name, card.attributesType || "Live Activity");
  say(parts.state, card.state === "active" ? "Live" : card.state);
  say(parts.when, ago(card.updatedAt, now));
  mark(made, "data-state", card.state);
  const state = JSON.stringify(card.contentState ?? {});
  if (made.shown !== state) {
    made.shown = state;
    const pairs = Object.entries(JSON.parse(state) ?? {}).slice(0, 6);
    parts.facts.replaceChildren(...pairs.flatMap(([name, value]) => [
      h("dt", {}, short(name, 24)), h("dd", {}, short(typeof value === "string" ? value : JSON.stringify(value), 60))]));
  }
}

function makeIcon(app) {
  const badge = h("span", { class: "badge" });
  return Object.assign(h("li", {}, icon(app.bundleId), badge, h("span", { class: "label" }, appName(app.bundleId))), { badge });
}

function updateIcon(made, app, badge) {
  show(made.badge, Boolean(badge));
  say(made.badge, badge ? String(badge) : "");
  mark(made.badge, "aria-label", badge ? `badge ${badge}` : null);
}

// --- apps and log ---

function makeApp(app) {
  const name = app.bundleId;
  const parts = {
    token: h("code"), state: h("span", { class: "note" }),
    copy: button("Copy token", "copy-token", { "aria-label": `Copy token of ${name}` }),
    launch: button("Launch", "launch", { "aria-label": `Launch ${name}` }),
  };
  const buttons = h("div", { class: "buttons" }, parts.copy, parts.launch,
    button("Re-install", "reinstall", { "aria-label": `Re-install ${name}`, title: "Delete it, install it again and launch it: it gets a new token" }),
    button("Force-quit", "quit", { "aria-label": `Force-quit ${name}`, title: "No background push wakes it until it is launched" }),
    button("Uninstall", "uninstall", { "aria-label": `Uninstall ${name}` }));
  const made = h("li", { class: "app-row", "data-bundle": name },
    h("p", {}, h("strong", {}, name), " ", h("span", { class: "pill" }, app.environment)), h("p", {}, parts.token, " ", parts.state), buttons);
  return Object.assign(made, { parts });
}

function updateApp(made, app) {
  const { parts } = made;
  made.token = app.deviceToken;
  say(parts.token, app.deviceToken ? `${app.deviceToken.slice(0, 12)}…` : "");
  mark(parts.token, "title", app.deviceToken);
  const states = [];
  if (!app.deviceToken) states.push(app.registrationPending ? "waits for a network to register" : "no device token: launch it");
  if (app.forward) states.push(app.forward.pending ? "could not forward its token, will try again" : "forwards its token");
  if (app.permission && app.permission !== "authorized") states.push(`notifications: ${app.permission}`);
  say(parts.state, states.join(" · "));
  show(parts.copy, Boolean(app.deviceToken));
}

/** Newest first; two of the same moment and text are told apart. */
function linesOf(log) {
  const times = new Map();
  return log.map((line) => {
    const same = `${line.at} ${line.text}`;
    times.set(same, (times.get(same) ?? 0) + 1);
    return { ...line, key: `${same} ${times.get(same)}` };
  }).toReversed();
}

function makeLine(line) {
  return h("li", {}, h("time", {}, timeOf(line.at)), ` ${line.text}`);
}

// --- the whole ---

export function makePhone(phone) {
  const name = h("h3", { id: `name-${phone.device.id}` });
  const parts = {
    name, kind: h("span", { class: "note" }), state: h("span", { class: "pill" }), time: h("p", { class: "time" }), date: h("p", { class: "date" }),
    cards: h("ul", { class: "activities", "aria-label": "Live Activities" }), notes: h("ul", { class: "notes", "aria-label": "Notifications, newest first" }),
    nothing: h("p", { class: "nothing" }), dock: h("ul", { class: "dock", "aria-label": "Apps" }), apps: h("ul", { class: "apps" }),
    online: button("Go offline", "online"), awake: button("Sleep", "awake", { title: "Asleep it gets at once only what is urgent" }), log: h("ol", { class: "log" }), count: h("summary"), rest: h("p", { class: "note" }),
  };
  const screen = h("div", { class: "screen", role: "group", "aria-label": "Lock screen", tabindex: "0" },
    parts.time, parts.date, parts.cards, parts.nothing, parts.notes, parts.rest);
  const more = h("details", { class: "lines" }, h("summary", {}, "A new phone, a new system"), h("div", { class: "buttons" },
    button("Restore", "restore", { title: "Restore its backup to a new phone: the same apps, new tokens. The old one stays" }),
    button("Re-install the system", "os-reinstall", { title: "Apps and permissions come back from the backup; every token ends" }),
    button("Erase", "remove", { title: "The phone goes for good, and its apps as if uninstalled" })));
  const buttons = h("div", { class: "buttons" }, parts.online, parts.awake, button("Install an app", "install"));
  const made = h("article", { class: "phone", "data-device": phone.device.id, "data-platform": phone.device.platform, "aria-labelledby": name.id },
    h("header", {}, name, parts.kind, parts.state), h("div", { class: "glass" }, screen, parts.dock),
    h("div", { class: "controls", role: "group", "aria-label": "Controls", tabindex: "-1" }, buttons, parts.apps,
      h("details", { class: "lines" }, parts.count, parts.log), more));
  return Object.assign(made, { parts });
}

export function updatePhone(made, phone, now) {
  const { parts } = made;
  const { device, notifications } = phone;
  made.phone = phone;
  const offline = !device.online;
  say(parts.name, device.name);
  say(parts.kind, device.platform);
  say(parts.state, offline ? "offline" : !phone.connected ? "cut off from APNs" : !device.awake ? "asleep" : "online");
  mark(made, "data-offline", offline ? "" : null);
  say(parts.online, offline ? "Go online" : "Go offline");
  say(parts.awake, device.awake ? "Sleep" : "Wake");
  say(parts.time, clock.format(now));
  say(parts.date, day.format(now));
  keyed(parts.cards, phone.activities, (card) => card.id, makeCard, (each, card) => updateCard(each, card, now));
  const shown = notifications.filter((note) => visible(note) && !isCard(note));
  keyed(parts.notes, threads(shown), (group) => group.key, makeThread, (each, group) => updateThread(each, group, now));
  show(parts.nothing, shown.length === 0);
  say(parts.nothing, advice(device, offline));
  const waiting = device.stored ? `${device.stored} kept by APNs until it is back` : "";
  const older = device.notifications > notifications.length ? `${device.notifications - notifications.length} older` : "";
  say(parts.rest, [waiting, older].filter(Boolean).join(" · "));
  keyed(parts.dock, device.apps, (app) => app.bundleId, makeIcon, (each, app) => updateIcon(each, app, badgeOf(notifications, app)));
  keyed(parts.apps, device.apps, (app) => app.bundleId, makeApp, updateApp);
  const lines = linesOf(phone.log);
  keyed(parts.log, lines, (line) => line.key, makeLine, () => {});
  say(parts.count, `Log (${lines.length})`);
}

function badgeOf(notifications, app) {
  return notifications.findLast((note) => note.badge !== null && appOf(note.topic) === app.bundleId)?.badge;
}

function advice(device, offline) {
  if (device.apps.length === 0) return "No app yet. Install one: its first launch gives it a device token.";
  if (offline) return "Offline. What is pushed now waits at APNs, if it may.";
  if (device.apps.every((app) => !app.deviceToken)) return "Launch the app: it registers and gets a device token.";
  return "No notification yet. Copy the device token and push to it.";
}
