// "Issue a key": the private half shown once, and a command line that pushes with it.

import { call } from "./api.js";
import { $, copy, say, show } from "./dom.js";

const quoted = (text) => (/^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

export class Keys {
  /** `target()`: the app to push to, `{ name, bundleId, environment, token }`, or null. `index()`: where things are. */
  constructor({ target, index }) {
    Object.assign(this, { target, index, key: null, file: null });
    const form = $("key-form");
    form.addEventListener("submit", (event) => { event.preventDefault(); this.issue(form); });
    $("key-done").addEventListener("click", () => this.forget());
    for (const each of document.querySelectorAll("[data-copy]")) each.addEventListener("click", () => copy($(each.dataset.copy).value, each));
  }

  async issue(form) {
    const error = form.querySelector(".error");
    show(error, false);
    const given = new FormData(form);
    const body = { teamId: given.get("teamId") };
    const topics = given.get("topics").split(/[\s,]+/).filter(Boolean);
    if (topics.length) body.topics = topics;
    if (given.get("environment")) body.environment = given.get("environment");
    try {
      const made = await call("POST", "/portal/keys", body);
      this.shown(made, body);
    } catch (problem) {
      error.textContent = problem.message;
      show(error, true);
    }
  }

  shown(made, { environment, topics }) {
    this.key = { keyId: made.keyId, teamId: made.teamId, environment, topics };
    $("key-made-title").textContent = `Key ${made.keyId}`;
    $("p8").value = made.p8;
    if (this.file) URL.revokeObjectURL(this.file);
    this.file = URL.createObjectURL(new Blob([made.p8], { type: "application/x-pem-file" }));
    $("p8-file").href = this.file;
    $("p8-file").download = `AuthKey_${made.keyId}.p8`;
    show($("key-made"), true);
    this.render();
    $("key-made").focus();
  }

  /** The private half leaves the page; the command stays. */
  forget() {
    $("p8").value = "";
    if (this.file) URL.revokeObjectURL(this.file);
    this.file = null;
    show($("key-made"), false);
    $("command").focus();
  }

  clear() {
    if (this.key) this.forget();
    this.key = null;
    show($("command-box"), false);
  }

  render() {
    if (!this.key) return;
    const app = this.target();
    const index = this.index();
    const environment = app?.environment ?? this.key.environment ?? "production";
    const words = ["heliogram send", `--endpoint ${index.listeners?.[environment] ?? "127.0.0.1:2197"}`, `--cacert ${quoted(index.caFile ?? "ca.pem")}`];
    if (environment !== "production") words.push(`--environment ${environment}`);
    words.push(`--key-file AuthKey_${this.key.keyId}.p8`, `--team-id ${this.key.teamId}`);
    if (this.key.environment) words.push(`--key-environment ${this.key.environment}`);
    if (this.key.topics) words.push(`--key-topics ${this.key.topics.map(quoted).join(",")}`);
    words.push(`--topic ${app ? quoted(app.bundleId) : "com.example.app"}`, `--token ${app?.token ?? "DEVICE_TOKEN"}`, "--title Hello --body 'From your own APNs'");
    const line = words.join(" \\\n  ");
    if ($("command").value !== line) $("command").value = line;
    say($("command-hint"), app ? `To ${app.name}. Run it where the key was saved.` : "No phone in view has a device token yet: launch an app, and its token appears here.");
    show($("command-box"), true);
  }
}
