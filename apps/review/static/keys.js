// Every key is written on the button that it presses (data-keys); the first that is visible and enabled takes it.

const NAMES = { " ": "Space" };
const TEXT = "textarea, select, input:not([type=radio], [type=checkbox])";
const PRESSED_BY_SPACE_AND_ENTER = "button, a, summary, input[type=checkbox]";

function scopes() {
  const open = document.querySelector("dialog[open]");
  if (open) return [open];
  return ["[data-current]", "form.card", "form.composer"].map((scope) => document.querySelector(scope)).filter(Boolean).concat(document);
}

function nameOf(event) {
  const name = NAMES[event.key] ?? (event.key.length === 1 ? event.key.toLowerCase() : event.key);
  return event.ctrlKey || event.metaKey ? `Ctrl+${name}` : name;
}

function isForTheElement(event, name) {
  if (event.target.matches(TEXT)) return name !== "Ctrl+Enter";
  if (event.target.matches(PRESSED_BY_SPACE_AND_ENTER)) return name === "Space" || name === "Enter";
  return event.target.matches("input[type=radio]") && (name === "Space" || name.startsWith("Arrow"));
}

function found(name) {
  for (const scope of scopes()) {
    for (const element of scope.querySelectorAll("[data-keys]")) {
      const isFree = !element.disabled && (scope !== document || !element.closest("form, dialog"));
      if (isFree && element.dataset.keys.split(" ").includes(name)) return element;
    }
  }
  return null;
}

function onKey(event) {
  const name = nameOf(event);
  if (event.key === "Escape" && event.target.matches(TEXT)) event.target.blur();
  if (event.defaultPrevented || event.altKey || event.isComposing || isForTheElement(event, name)) return;
  if (localStorage.getItem("single-keys") === "off" && name.length === 1) return;
  const element = found(name);
  if (!element) return;
  event.preventDefault();
  if (event.repeat) return; // a key held down decides once
  if (element.matches(TEXT)) element.focus();
  else element.click();
}

export function listenToKeys() {
  document.addEventListener("keydown", onKey);
  const box = document.querySelector("#single-keys");
  box.checked = localStorage.getItem("single-keys") !== "off";
  box.addEventListener("change", () => localStorage.setItem("single-keys", box.checked ? "on" : "off"));
}
