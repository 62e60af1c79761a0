// The control API, as the page uses it.

export class Refused extends Error {
  constructor(status, problem) {
    const fields = (problem.errors ?? []).map((each) => each.message).filter(Boolean);
    super(fields.join(" ") || problem.detail || problem.title || `the simulator answered ${status}`);
    this.status = status;
  }
}

export async function call(method, path, body) {
  const options = { method, headers: { accept: "application/json" }, cache: "no-store" };
  if (body !== undefined) {
    options.headers["content-type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Refused(0, { detail: "The simulator does not answer. Is it still running?" });
  }
  const text = await answer.text();
  let content = null;
  try {
    content = text ? JSON.parse(text) : null;
  } catch {
    content = { detail: text.slice(0, 200) };
  }
  if (!answer.ok) throw new Refused(answer.status, content ?? {});
  return content;
}

/** A path with its parameters filled in, in order. */
export const at = (path, ...parts) => {
  let next = 0;
  return path.replace(/\{[^}]+\}/g, () => encodeURIComponent(parts[next++]));
};
