// The composer: free text, or a task's fields that a pattern makes one request of.

const $ = (selector) => document.querySelector(selector);
const form = $("#composer");
const fields = () => form.querySelector("fieldset:not([disabled])");
const isTouch = matchMedia("(hover: none)");

// send({text, alone, labels}): alone says that nothing of the conversation goes with it, as the model learnt it.
export function listenToComposer({ send, last }) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (send(request())) empty();
  });
  form.addEventListener("keydown", (event) => {
    if (sends(event)) {
      event.preventDefault();
      form.requestSubmit();
    } else if (event.key === "ArrowUp" && event.target.id === "text" && !event.target.value) {
      event.preventDefault();
      last();
    }
  });
  form.addEventListener("click", (event) => {
    const chip = event.target.closest("button.preset");
    if (chip) choose(chip.dataset.preset);
  });
  if (!isTouch.matches) $("#text").focus();
}

// Whether a key sends a text: Enter does where there is a keyboard, and where there is none it begins a line.
export function sends(event) {
  const isPlain = event.key === "Enter" && !event.shiftKey && !event.isComposing;
  return isPlain && event.target.matches("textarea, input") && (event.ctrlKey || event.metaKey || !isTouch.matches);
}

function choose(name) {
  for (const set of form.querySelectorAll("fieldset")) set.hidden = set.disabled = set.dataset.preset !== name;
  for (const chip of form.querySelectorAll(".preset")) chip.setAttribute("aria-pressed", String(chip.dataset.preset === name));
  [...fields().elements].find((field) => !field.value)?.focus();
}

function request() {
  const set = fields();
  const said = Object.fromEntries([...set.elements].map((field) => [field.name, field.value.trim()]));
  const text = set.dataset.pattern.replace(/\{(\w+)\}/g, (_, name) => said[name]);
  const labels = said.labels?.split(",").map((label) => label.trim()).filter(Boolean);
  return { text, alone: set.dataset.preset !== "free", ...(labels && { labels }) };
}

// What was filled in beforehand (a language, labels) stays for the next one.
function empty() {
  for (const field of fields().elements) if (!field.defaultValue) field.value = "";
}
