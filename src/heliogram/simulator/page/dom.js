// Small tools for the DOM. Text becomes text nodes, never HTML.

/** An element: `h("button", { class: "x", type: "button" }, "text", child)`. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const $ = (id) => document.getElementById(id);

/** Set the text only when it differs: what does not change costs nothing and is not read out again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const moment = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** The time of day of an RFC 3339 stamp, where the reader is. */
export const timeOf = (stamp) => moment.format(new Date(stamp));

export function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

export function mark(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/**
 * Make the children of `parent` those of `items`, in order; an item keeps its element by its key, and so the focus
 * and whatever is unfolded in it. `make(item)` gives an element, `update(element, item)` is called every time.
 */
export function keyed(parent, items, key, make, update) {
  const known = (parent.known ??= new Map());
  const wanted = new Map();
  for (const item of items) {
    const id = key(item);
    wanted.set(id, known.get(id) ?? make(item));
    update(wanted.get(id), item);
  }
  for (const [id, element] of known) if (!wanted.has(id)) element.remove();
  let next = parent.firstElementChild;
  for (const element of wanted.values()) {
    if (element === next) next = next.nextElementSibling;
    else parent.insertBefore(element, next);
  }
  parent.known = wanted;
}

const waiting = new Set();
let frame = 0;

/** Draw in the next animation frame; however often it is asked for, once. */
export function draw(render) {
  waiting.add(render);
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    const now = [...waiting];
    waiting.clear();
    for (const each of now) each();
  });
}

export async function copy(text, button) {
  const label = (button.label ??= button.textContent);
  let done = "Copied";
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    done = "Copying is not allowed here";
  }
  button.textContent = done;
  clearTimeout(button.timer);
  button.timer = setTimeout(() => { button.textContent = label; }, 1500);
}
