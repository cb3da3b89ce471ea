// What outlives a reload: the settings in this browser, the conversation and the API key in this tab.

const NUMBERS = ["temperature", "max_tokens", "top_p", "top_k", "repetition_penalty", "seed"];
const MOST_STOPS = 4;
const AT_FIRST = { temperature: "0.7" }; // as `fledgling generate`; a small model told to be bolder babbles

const read = (store, name) => JSON.parse(store.getItem(name)) ?? {};

export const settings = () => ({ ...AT_FIRST, ...read(localStorage, "chat-settings") });
export const talk = () => read(sessionStorage, "chat-talk");
export const key = () => sessionStorage.getItem("chat-key") ?? "";

export function keepTalk(value) {
  sessionStorage.setItem("chat-talk", JSON.stringify(value));
}

// What the settings add to a request: what is left empty is the server's.
export function asked() {
  const { stop, ...rest } = settings();
  const numbers = NUMBERS.filter((name) => rest[name]).map((name) => [name, Number(rest[name])]);
  const stops = (stop ?? "").split("\n").filter(Boolean).slice(0, MOST_STOPS);
  return { ...Object.fromEntries(numbers), ...(stops.length && { stop: stops }) };
}

export function listenToSettings(dialog) {
  const form = dialog.querySelector("form");
  const fill = () => {
    form.reset();
    for (const [name, value] of Object.entries(settings())) form.elements[name].value = value;
    form.elements.key.value = key();
  };
  document.querySelector("#settings").addEventListener("click", () => {
    fill();
    dialog.showModal();
    dialog.querySelector("h2").focus();
  });
  document.querySelector("#forget").addEventListener("click", () => {
    localStorage.removeItem("chat-settings");
    fill();
  });
  form.addEventListener("submit", () => {
    const { key, ...said } = Object.fromEntries(new FormData(form));
    localStorage.setItem("chat-settings", JSON.stringify(said));
    sessionStorage.setItem("chat-key", key.trim());
  });
}
