// Asks every few seconds how the parts are, while the page is seen.
const every = Number(document.body.dataset.every) * 1000;
const status = document.querySelector("#status");

const show = ({ name, state, line }) => {
  const part = document.querySelector(`[data-part="${name}"]`);
  if (!part || part.dataset.state + part.querySelector("[data-line]").textContent === state + line) return;
  part.dataset.state = state;
  part.querySelector("[data-line]").textContent = line;
};

const ask = async () => {
  try {
    const answer = await fetch("/state", { cache: "no-store", signal: AbortSignal.timeout(10_000) });
    if (!answer.ok) throw new Error(`it answers ${answer.status}`);
    (await answer.json()).forEach(show);
    if (status.textContent) status.textContent = "";
  } catch {
    for (const part of document.querySelectorAll("[data-part]")) show({ name: part.dataset.part, state: "asked", line: "not known" });
    status.textContent = "The platform does not answer; this page goes on asking.";
  }
};

const again = async () => {
  if (!document.hidden) await ask();
  setTimeout(again, every);
};
document.addEventListener("visibilitychange", () => document.hidden || ask());
again();
