// What the pages need beyond htmx. Everything here adds to pages that work without it.
"use strict";

// A file that is picked goes, as text or base64, into the field that data-into names: forms have no attachments here.
document.addEventListener("change", (event) => {
  const input = event.target;
  if (!(input instanceof HTMLInputElement) || !input.dataset.into || !input.files.length) return;
  const into = document.getElementById(input.dataset.into);
  const reader = new FileReader();
  reader.addEventListener("load", () => {
    const text = String(reader.result);
    into.value = input.dataset.as === "base64" ? text.slice(text.indexOf(",") + 1) : text;
    into.dispatchEvent(new Event("input", { bubbles: true }));
  });
  const keyId = document.getElementById(input.dataset.keyId);
  const named = /^AuthKey_([A-Z0-9]{10})\.p8$/.exec(input.files[0].name);
  if (keyId && named && !keyId.value) keyId.value = named[1]; // as Apple names the file
  if (input.dataset.as === "base64") reader.readAsDataURL(input.files[0]);
  else reader.readAsText(input.files[0]);
});

// A form that cannot be undone asks once more.
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
}, true);

// Copies what data-copy names.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
  const before = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = before; }, 2000);
});

// Times in a form are those of the viewer's clock, unless somebody says otherwise.
document.addEventListener("DOMContentLoaded", () => {
  for (const input of document.querySelectorAll("[data-zone]")) {
    if (!input.value) input.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "";
  }
});

// On a phone the navigation is one line: where one is comes into sight.
document.addEventListener("DOMContentLoaded", () => {
  const here = document.querySelector(".side [aria-current]");
  const line = here?.closest("nav");
  if (line) line.scrollLeft = here.offsetLeft - line.offsetLeft - 12;
});
