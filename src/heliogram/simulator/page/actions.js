// What the buttons do, by what this simulator's control API offers.

import { at, call } from "./api.js";

const APP = "/devices/{id}/apps/{bundleId}";

/** What this simulator has to choose from. */
export async function choices() {
  const { schemas } = await call("GET", "/openapi.json").then((document) => document.components);
  return { platforms: schemas.DeviceIn.properties.platform.enum };
}

export const setOnline = (id, online) => call("PATCH", at("/devices/{id}", id), { online });
export const setAwake = (id, awake) => call("PATCH", at("/devices/{id}", id), { awake });
export const restore = (id) => call("POST", at("/devices/{id}/restore", id), {});
export const reinstallSystem = (id) => call("POST", at("/devices/{id}/os-reinstall", id));
export const remove = (id) => call("DELETE", at("/devices/{id}", id));
export const quit = (id, bundleId) => call("POST", at(`${APP}/quit`, id, bundleId));
export const addPhone = (name, platform) => call("POST", "/devices", { name, platform });
export const install = (id, app) => call("POST", at("/devices/{id}/apps", id), app);
export const uninstall = (id, bundleId) => call("DELETE", at(APP, id, bundleId));

/** A launch can be refused and a forward can fail without an error of the call: what to tell people, or null. */
export async function launch(id, bundleId) {
  const { error, forwarded } = await call("POST", at(`${APP}/launch`, id, bundleId));
  if (error) return `${bundleId} could not register: ${error}`;
  if (!forwarded) return null;
  if (forwarded.error) return `${bundleId} has its token but could not forward it: ${forwarded.error}`;
  return forwarded.status < 300 ? null : `${bundleId} has its token, but the server answered ${forwarded.status} to it`;
}

/** As people do it: delete the app, get it again, open it. The old token is dead, the new one is forwarded. */
export async function reinstall(id, bundleId) {
  await call("POST", at(`${APP}/reinstall`, id, bundleId));
  return launch(id, bundleId);
}
