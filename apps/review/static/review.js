// The desk: shows the first card of the queue, sends what is decided, and moves on when it is stored.
import { draftOf, keepDraft } from "./drafts.js";
import { listenToKeys } from "./keys.js";
import { KINDS } from "./kinds.js";
import { Outbox } from "./outbox.js";
import { Stopwatch } from "./stopwatch.js";

const TOO_SOON_MS = 250; // the second half of a double click is no answer to the next card

const $ = (selector) => document.querySelector(selector);
const desk = $("#desk");
const queue = $("#queue");
const stopwatch = new Stopwatch();
const outbox = new Outbox(`outbox:${document.body.dataset.reviewer}`, { held, stored, waiting, refused });

const card = () => desk.querySelector("form.card");
const isAsking = () => card()?.dataset.kind === "question";
const order = () => $("#next").dataset.order.split(" ").filter(Boolean);

function held() {
  return [...queue.children].map((template) => template.dataset.assignment);
}

function tell(line) {
  if ($("#status").textContent !== line) $("#status").textContent = line;
}

// --- what is shown

function showFirst() {
  const wanted = order();
  for (const template of [...queue.children]) {
    if (!wanted.includes(template.dataset.assignment)) template.remove();
  }
  $("#undo").disabled = $("#next").dataset.undoable === "0";
  $("#skip").disabled = wanted.length === 0;
  if (wanted.length === 0) return show($("#nothing"));
  if (card()?.dataset.assignment !== wanted[0]) {
    show([...queue.children].findLast((template) => template.dataset.assignment === wanted[0]));
  }
}

function show(template) {
  desk.replaceChildren(template.content.cloneNode(true));
  scrollTo({ top: 0, behavior: "instant" });
  const form = card();
  if (form) begin(form);
  desk.querySelector("h1").focus({ preventScroll: true });
  performance.mark("card-shown");
}

function begin(form) {
  const { state, milliseconds = 0 } = draftOf(form.dataset.assignment);
  stopwatch.start(milliseconds);
  form.state = state;
  KINDS[form.dataset.kind].begin(form, (changed) => {
    form.state = changed;
    keep(form);
  });
}

function keep(form, milliseconds = stopwatch.milliseconds) {
  keepDraft(form.dataset.assignment, { state: form.state, milliseconds });
}

// --- what is sent

function send(path, said) {
  const form = card();
  outbox.put(path, {
    assignment: form.dataset.assignment,
    said: JSON.stringify(said),
    milliseconds: Math.min(stopwatch.milliseconds, 86_400_000),
    page_version: document.body.dataset.version,
  });
  keep(form, 0);
  busy(true);
}

function ask(said) {
  outbox.put("/questions", said);
  keep(card(), 0);
  busy(true);
  tell("Two models are answering…");
}

function busy(isBusy) {
  desk.setAttribute("aria-busy", String(isBusy));
}

function stored() {
  const { told } = $("#next").dataset;
  busy(false);
  tell(told);
  if (isAsking() && told) return; // nothing came of the question: it stays to be asked again
  if (isAsking()) keepDraft(card().dataset.assignment, {});
  showFirst();
}

function waiting() {
  tell("Not sent yet: no connection. Your answer is kept here; trying again…");
}

function refused(line, isKept) {
  busy(isKept);
  desk.querySelectorAll("[data-chosen]").forEach((chosen) => delete chosen.dataset.chosen);
  tell(isKept ? `${line} Your last answer is kept in this tab until then.` : line);
}

desk.addEventListener("submit", (event) => {
  event.preventDefault();
  const said = KINDS[card().dataset.kind].said(card(), event.submitter);
  if (said === null || outbox.isBusy || stopwatch.sinceShown < TOO_SOON_MS) return;
  if (isAsking()) return ask(said);
  if (event.submitter) event.submitter.dataset.chosen = "";
  desk.querySelector(`.answer[data-side="${said.side}"]`)?.setAttribute("data-chosen", "");
  send("/answers", said);
});

function open(dialog) {
  $(dialog).showModal();
  $(`${dialog} h2`).focus();
}

$("#undo").addEventListener("click", () => {
  if (outbox.isBusy) return;
  outbox.put("/undo", {});
  busy(true);
});

$("#skip").addEventListener("click", () => {
  if (outbox.isBusy || !card()) return;
  if (isAsking()) leave();
  else open("#reasons");
});

$("#reasons").addEventListener("click", (event) => {
  const reason = event.target.closest("[data-reason]")?.dataset.reason;
  if (!reason) return;
  $("#reasons").close();
  send("/skips", { reason });
});

$("#ask").addEventListener("click", () => {
  if (outbox.isBusy || isAsking()) return;
  if (card()) keep(card());
  show($("#question"));
  desk.querySelector("textarea").focus();
});

$("#help").addEventListener("click", () => open("#keys"));

function leave() {
  if (outbox.isBusy) return;
  keep(card());
  tell("");
  showFirst();
}

desk.addEventListener("click", (event) => {
  if (event.target.closest("[data-do=leave]")) leave();
  if (event.target.closest("#look")) htmx.ajax("POST", "/cards", { values: { holding: "" }, swap: "none" }).then(showFirst);
});

addEventListener("pagehide", () => {
  if (card() && !outbox.isBusy) keep(card());
});

listenToKeys();
showFirst();
if (outbox.isBusy) {
  busy(true);
  outbox.resume();
}
