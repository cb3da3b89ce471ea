// The four kinds of card, and a question of the reader's own. Each: begin(form, changed) sets it up from form.state (of a draft, or undefined) and calls
// changed(state) after each step; said(form, submitter) is what is sent, null while it is not whole.

const button = (form, name) => form.querySelector(`[data-do=${name}]`);
const submit = (form) => form.querySelector("button.main:not([value])");

const choice = {
  begin() {},
  said: (form, submitter) => (submitter?.name === "side" ? { side: submitter.value } : null),
};

const ranking = {
  begin(form, changed) {
    const step = (tiers) => {
      changed(tiers);
      showOrder(form);
    };
    for (const pick of form.querySelectorAll(".pick")) {
      pick.addEventListener("click", () => step(placed(tiersOf(form), Number(pick.dataset.place), places(form))));
    }
    button(form, "tie").addEventListener("click", () => step(tied(tiersOf(form))));
    button(form, "back").addEventListener("click", () => step(takenBack(tiersOf(form), places(form))));
    showOrder(form);
  },
  said: (form) => (tiersOf(form).flat().length === places(form) ? { tiers: tiersOf(form) } : null),
};

const tiersOf = (form) => form.state ?? []; // places, the best tier first
const places = (form) => form.querySelectorAll(".pick").length;

function placed(tiers, place, count) {
  if (tiers.flat().includes(place)) return tiers;
  const more = [...tiers, [place]];
  const left = [...Array(count).keys()].filter((other) => !more.flat().includes(other));
  return left.length === 1 ? [...more, left] : more; // the last one goes without saying
}

function tied(tiers) {
  if (tiers.length < 2) return tiers;
  return [...tiers.slice(0, -2), [...tiers.at(-2), ...tiers.at(-1)]];
}

function takenBack(tiers, count) {
  const isWhole = tiers.flat().length === count;
  const cut = (from) => [...from.slice(0, -1), from.at(-1).slice(0, -1)].filter((tier) => tier.length);
  return isWhole && count > 1 ? cut(cut(tiers)) : cut(tiers);
}

const ORDINALS = ["1st", "2nd", "3rd", "4th"];

function showOrder(form) {
  const tiers = tiersOf(form);
  for (const pick of form.querySelectorAll(".pick")) {
    const tier = tiers.findIndex((tier) => tier.includes(Number(pick.dataset.place)));
    const rank = tiers.slice(0, Math.max(tier, 0)).flat().length;
    pick.setAttribute("aria-pressed", String(tier >= 0));
    pick.querySelector(".rank").textContent = tier >= 0 ? ORDINALS[rank] : "";
    pick.closest(".answer").dataset.rank = tier >= 0 ? String(rank + 1) : "";
  }
  const order = tiers.map((tier) => tier.map((place) => place + 1).join(" = ")).join("  ›  ");
  form.querySelector(".order").textContent = order || "Press the number of the best";
  button(form, "back").disabled = tiers.length === 0;
  button(form, "tie").disabled = tiers.length < 2;
  submit(form).disabled = ranking.said(form) === null;
}

const rating = {
  begin(form, changed) {
    const axes = [...form.querySelectorAll(".axis")];
    for (const [axis, level] of Object.entries(form.state ?? {})) radio(form, axis, level).checked = true;
    let isArrow = false; // the arrows walk through a group's levels: that is no decision yet
    form.addEventListener("keydown", (event) => (isArrow = event.key.startsWith("Arrow")));
    form.addEventListener("pointerdown", () => (isArrow = false));
    form.addEventListener("focusin", (event) => makeCurrent(axes, event.target.closest(".axis")));
    form.addEventListener("change", (event) => {
      showScores(form);
      changed(scores(form));
      if (!isArrow) goOn(form, axes, event.target.closest(".axis"));
    });
    button(form, "back").addEventListener("click", () => {
      stepBack(axes);
      showScores(form);
      changed(scores(form));
    });
    makeCurrent(axes, axes.find((axis) => !levelOf(axis)) ?? axes.at(-1));
    showScores(form);
  },
  said: (form) => (form.querySelector(".axis:not(:has(:checked))") ? null : { scores: scores(form) }),
};

const radio = (form, axis, level) => form.querySelector(`[data-axis="${axis}"] [value="${level}"]`);
const levelOf = (axis) => axis.querySelector(":checked");

function scores(form) {
  return Object.fromEntries([...form.querySelectorAll(":checked")].map((level) => [level.name, Number(level.value)]));
}

function makeCurrent(axes, current) {
  if (current) axes.forEach((axis) => axis.toggleAttribute("data-current", axis === current));
}

function goOn(form, axes, from) {
  const next = [...axes.slice(axes.indexOf(from)), ...axes].find((axis) => !levelOf(axis));
  if (!next) return submit(form).scrollIntoView({ block: "nearest" });
  makeCurrent(axes, next);
  if (document.activeElement.matches("input")) next.querySelector("input").focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

function stepBack(axes) {
  const current = axes.find((axis) => axis.hasAttribute("data-current"));
  const last = levelOf(current) ? current : axes.filter(levelOf).at(-1);
  levelOf(last).checked = false;
  makeCurrent(axes, last);
}

function showScores(form) {
  button(form, "back").disabled = !form.querySelector(":checked");
  submit(form).disabled = rating.said(form) === null;
}

const correction = {
  begin(form, changed) {
    const text = form.elements.text;
    const original = text.value;
    const show = () => {
      const isSame = text.value === original;
      button(form, "restore").disabled = isSame;
      form.querySelector("[data-when=same]").hidden = !isSame;
      form.querySelector("[data-when=changed]").hidden = isSame;
      submit(form).disabled = !text.value.trim();
      fit(text);
    };
    const step = () => {
      show();
      changed(text.value);
    };
    text.addEventListener("input", step);
    button(form, "restore").addEventListener("click", () => {
      text.value = original;
      step();
    });
    if (form.state !== undefined) text.value = form.state;
    show();
  },
  said: (form) => (form.elements.text.value.trim() ? { text: form.elements.text.value } : null),
};

function fit(text) {
  const lines = text.value.split("\n").reduce((sum, line) => sum + 1 + Math.floor(line.length / 60), 0);
  text.rows = Math.max(8, lines + 1); // where the browser does not know field-sizing
}

const question = {
  begin(form, changed) {
    const text = form.elements.text;
    const show = () => (submit(form).disabled = !text.value.trim());
    text.addEventListener("input", () => {
      show();
      changed(text.value);
    });
    if (form.state !== undefined) text.value = form.state;
    show();
  },
  said: (form) => (form.elements.text.value.trim() ? { text: form.elements.text.value } : null),
};

export const KINDS = { choice, ranking, rating, correction, question };
