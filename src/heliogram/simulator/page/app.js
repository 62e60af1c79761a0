// The simulator's page: ties what is read, what is shown and what is pressed together.

import * as actions from "./actions.js";
import { call } from "./api.js";
import { $, copy, draw, h, say, show } from "./dom.js";
import { Keys } from "./keys.js";
import { follow, Source } from "./live.js";
import { Clock, Connections, Faults } from "./panels.js";
import { Phones } from "./phones.js";
import { Requests, Violations } from "./requests.js";

let index = {};
const clock = new Clock({ failed, moved: () => draw(phones.render) });
const phones = new Phones(() => clock.now());
const keys = new Keys({ target, index: () => index });
const requests = new Requests({ names: (deviceId) => (deviceId ? phones.find(deviceId)?.device.name ?? `device ${deviceId}` : null) });
const violations = new Violations();
const connections = new Connections({ failed });
const faults = new Faults({ failed });
const about = new Source(() => call("GET", "/"), (answer) => { index = answer; draw(overview); }, { gap: 500 });

// --- what is shown ---

function overview() {
  for (const each of document.querySelectorAll("[data-listener]")) say(each, index.listeners?.[each.dataset.listener] ?? "");
  for (const each of document.querySelectorAll("[data-ca]")) say(each, index.caFile ?? "");
  if (index.listeners && $("listeners").childElementCount === 0) {
    const facts = Object.entries({ ...index.listeners, "CA file": index.caFile });
    $("listeners").append(...facts.flatMap(([name, value]) => [h("dt", {}, name.replace("_", " ")), h("dd", {}, h("code", {}, value))]));
  }
  counts();
  keys.render();
}

function counts() {
  const many = (count, one, more) => `${count.toLocaleString("en")} ${count === 1 ? one : more}`;
  say($("counts"), [many(phones.total, "phone", "phones"), many(requests.answered, "request", "requests"),
    many(index.connections ?? 0, "connection", "connections")].join(" · "));
}

/** The app to push to: of the phones in view the first one with a token. */
function target() {
  for (const { device } of phones.phones) {
    for (const app of device.apps) {
      if (app.deviceToken) return { name: device.name, bundleId: app.bundleId, environment: app.environment, token: app.deviceToken };
    }
  }
  return null;
}

const everything = [about, phones.source, requests.source, violations.source, connections.source, clock.source, faults.source];

/** Which of it may have changed with an event of each kind; whatever else happens changes the phones at most. */
const TOUCHED = {
  request: [requests.source, connections.source], finding: [requests.source], violation: [requests.source, violations.source], notification: [phones.source, requests.source],
  connection: [connections.source, about], clock: [clock.source, phones.source], fault: [faults.source], channel: [], portal: [], reset: everything,
};

follow({
  ready: () => everything.forEach((each) => each.touch()),
  happened: (kinds) => {
    const touched = new Set(kinds.flatMap((kind) => TOUCHED[kind] ?? [phones.source]));
    if (kinds.includes("reset")) keys.clear();
    if (touched.has(requests.source)) touched.add(about);
    touched.forEach((each) => each.touch());
  },
  state: (state) => {
    say($("live"), state === "live" ? "live" : "connection lost, trying again…");
    $("live").dataset.state = state;
  },
});
document.addEventListener("visibilitychange", () => everything.forEach((each) => each.consider()));
setInterval(() => { if (!document.hidden) draw(tick); }, 1000);

function tick() {
  clock.render();
  phones.render();
}

const drawn = phones.shown.bind(phones);
phones.shown = (answer) => { drawn(answer); draw(overview); draw(requests.render); };
const listed = requests.render;
requests.render = () => { listed(); counts(); };

// --- what is pressed ---

function failed(problem) {
  const note = h("p", { class: "toast", role: "alert" }, typeof problem === "string" ? problem : problem.message,
    h("button", { type: "button", "aria-label": "Dismiss" }, "×"));
  note.querySelector("button").addEventListener("click", () => note.remove());
  document.querySelector(".toast")?.remove();
  document.body.append(note);
}

/** Do it, say what went wrong, and read anew what it may have changed. */
async function perform(work) {
  try {
    const trouble = await work();
    if (typeof trouble === "string") failed(trouble);
  } catch (problem) {
    failed(problem);
  }
  for (const each of [phones.source, connections.source, about]) each.touch();
}

const PRESSED = {
  "copy-token": (button) => copy(button.closest(".app-row").token, button),
  online: (button, { id, phone }) => perform(() => actions.setOnline(id, !phone.device.online)),
  install: (button, { id }) => openDialog($("install-app"), id),
  restore: (button, { id }) => perform(async () => {
    await actions.restore(id);
    phones.follow = true;
  }),
  awake: (button, { id, phone }) => perform(() => actions.setAwake(id, !phone.device.awake)),
  "os-reinstall": (button, { id }) => perform(() => actions.reinstallSystem(id)),
  remove: (button, { id }) => perform(() => actions.remove(id)),
  launch: (button, { id, bundleId }) => perform(() => actions.launch(id, bundleId)),
  reinstall: (button, { id, bundleId }) => perform(() => actions.reinstall(id, bundleId)),
  quit: (button, { id, bundleId }) => perform(() => actions.quit(id, bundleId)),
  uninstall: (button, { id, bundleId }) => perform(() => actions.uninstall(id, bundleId)),
};

$("track").addEventListener("click", (event) => {
  const button = event.target.closest("[data-act]");
  const made = button?.closest(".phone");
  if (!made) return;
  const bundleId = button.closest(".app-row")?.dataset.bundle;
  PRESSED[button.dataset.act]?.(button, { id: made.dataset.device, phone: made.phone, bundleId });
});

$("fresh").addEventListener("click", () => {
  if (confirm("Forget all phones, keys and requests? Connections stay open.")) perform(() => call("POST", "/reset"));
});

// --- dialogs ---

for (const fields of document.querySelectorAll(".app-fields")) fields.append($("app-fields").content.cloneNode(true));
const platforms = $("add-phone").querySelector("[name=platform]");
actions.choices().then((found) => platforms.append(...found.platforms.map((each) => h("option", {}, each))));

function openDialog(dialog, device) {
  dialog.device = device;
  show(dialog.querySelector(".error"), false);
  dialog.showModal();
}

for (const each of document.querySelectorAll("[data-open]")) each.addEventListener("click", () => openDialog($(each.dataset.open)));
for (const each of document.querySelectorAll("[data-close]")) each.addEventListener("click", () => each.closest("dialog").close());

/** What the form says about the app, as the control API wants it. */
function appOf(form) {
  const given = new FormData(form);
  const app = { bundleId: given.get("bundleId").trim(), environment: given.get("environment") };
  if (given.get("url")) {
    const credential = given.get("credential");
    app.forward = { url: given.get("url"), [credential.includes(":") ? "apiKey" : "registrationToken"]: credential };
    for (const name of ["userId", "appName"]) if (given.get(name)) app.forward[name] = given.get(name);
  }
  return app;
}

function submits(dialog, work) {
  const form = dialog.querySelector("form");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const error = form.querySelector(".error");
    show(error, false);
    try {
      const trouble = await work(form);
      form.querySelector("[name=credential]").value = "";
      dialog.close();
      if (trouble) failed(trouble);
    } catch (problem) {
      error.textContent = problem.message;
      show(error, true);
    }
    phones.source.touch();
  });
}

let made = null; // a phone whose app was refused: the next try is for the same phone

submits($("add-phone"), async (form) => {
  const given = new FormData(form);
  if (!made) {
    $("search").value = "";
    phones.follow = true;
    made = await actions.addPhone(given.get("name"), given.get("platform"));
  }
  const { id } = made;
  const app = appOf(form);
  await actions.install(id, app);
  made = null;
  return actions.launch(id, app.bundleId);
});
$("add-phone").addEventListener("close", () => { made = null; });

submits($("install-app"), async (form) => {
  const app = appOf(form);
  await actions.install($("install-app").device, app);
  return actions.launch($("install-app").device, app.bundleId);
});
