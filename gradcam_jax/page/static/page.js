"use strict";
// The page: it asks the server for explanations, and lays the layer of the one that was clicked over the photo.

const at = (id) => document.getElementById(id);
const ASKED = { classification: ["label"], vqa: ["question", "answer"], captioning: ["caption"] };
const atOnce = (method) => state.offers.at_once.includes(method); // all targets from one pass

const state = {
  offers: null,
  task: "classification",
  photo: null, // {id, width, height, source}
  shared: { classification: false, vqa: false, captioning: true },
  choice: {}, // task -> {model, layer, size}
  found: null, // the explanation whose rows are listed
  row: 0,
  picture: null, // {name, row}: the explanation whose layer is shown
  turn: 0,
};

class Refused extends Error {
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

async function call(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    throw new Refused("The program that serves this page does not answer.", 0);
  }
  const content = await answer.json().catch(() => ({ error: `The server answered ${answer.status}.` }));
  if (!answer.ok) throw new Refused(content.error, answer.status);
  return content;
}

const send = (path, body) => call(path, { method: "POST", body });

function say(text) {
  at("status").textContent = text;
}

function complain(text) {
  at("problem").textContent = text;
  at("problem").hidden = !text;
}

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const percent = (share) => (share >= 0.001 || share === 0 ? `${(100 * share).toFixed(1)} %` : `${(100 * share).toPrecision(1)} %`);

// Photos

async function begin(source) {
  const answer = source instanceof Blob
    ? await send(`api/photos?name=${encodeURIComponent(source.name || "the photo")}`, source)
    : await send(`api/examples/${encodeURIComponent(source)}`);
  return { id: answer.photo, width: answer.width, height: answer.height, source };
}

function forget() {
  if (state.photo) navigator.sendBeacon(`api/photos/${state.photo.id}/forget`);
}

async function choose(source) {
  const turn = ++state.turn;
  complain("");
  const most = state.offers.limits.bytes;
  if (source instanceof Blob && source.size > most) {
    complain(`This file has ${(source.size / 1e6).toFixed(1)} MB; at most ${most / 1e6} MB are taken here.`);
    return;
  }
  say("Reading the photo ...");
  try {
    const photo = await begin(source);
    if (turn !== state.turn) return;
    forget();
    state.photo = photo;
    state.found = state.picture = null;
    showPhoto();
    await ask();
  } catch (error) {
    if (turn === state.turn) {
      say("");
      complain(error.message);
    }
  }
}

function showPhoto() {
  const { id, width, height } = state.photo;
  at("drop").hidden = true;
  at("frame").hidden = at("another").hidden = false;
  const tallest = matchMedia("(max-width: 760px)").matches ? 38 : 66;
  at("frame").style.aspectRatio = `${width} / ${height}`;
  at("frame").style.width = `min(100%, calc(${tallest}vh * ${width / height}))`;
  at("photo").src = `api/photos/${id}/photo`;
  at("layer").hidden = true;
  at("results").hidden = true;
}

// Asking

function request(extra) {
  const asked = { task: state.task, ...state.choice[state.task], method: at("method").value, ...extra };
  for (const name of ASKED[state.task]) if (!(name in asked)) asked[name] = at(name).value;
  return JSON.stringify(asked);
}

async function explained(body) {
  try {
    return await send(`api/photos/${state.photo.id}/explain`, body);
  } catch (error) {
    if (error.status !== 404) throw error;
    state.photo = await begin(state.photo.source); // it was forgotten meanwhile
    at("photo").src = `api/photos/${state.photo.id}/photo`;
    return send(`api/photos/${state.photo.id}/explain`, body);
  }
}

async function ask() {
  if (!state.photo) {
    complain("Choose a photo first.");
    return;
  }
  const turn = ++state.turn;
  const began = performance.now();
  complain("");
  busy(true);
  const slow = setTimeout(() => turn === state.turn && say("Computing; the first time the model is compiled ..."), 1500);
  say("Computing ...");
  try {
    const method = atOnce(at("method").value) ? at("method").value : "grad_cam";
    const found = await explained(request({ method }));
    if (turn !== state.turn) return;
    state.found = found;
    state.row = 0;
    list();
    await select(0);
    const { model, layer, size } = found.choice;
    const took = `Computed in ${Math.round(performance.now() - began)} ms by ${model} at ${layer}, ${size} x ${size} pixels.`;
    if (turn === state.turn && at("problem").hidden) say(took);
  } catch (error) {
    if (turn !== state.turn) return;
    say("");
    complain(error.message);
  } finally {
    clearTimeout(slow);
    if (turn === state.turn) busy(false);
  }
}

function busy(is) {
  document.body.classList.toggle("busy", is);
  at("go").disabled = is;
}

// What was found

function list() {
  const { rows } = state.found;
  at("results").hidden = false;
  const targets = rows.map((row, index) => ({ row, index })).filter(({ row }) => row.kind === "target");
  at("rows").replaceChildren(...targets.map(({ row, index }) => {
    const share = row.probability === null ? 0 : row.probability;
    const bar = element("i", {});
    bar.style.width = `${Math.max(100 * share, 0)}%`;
    const number = row.probability === null ? `log p ${row.log_prob.toFixed(2)}` : `${percent(row.probability)} (rank ${row.rank})`;
    const button = element("button", { type: "button", className: "row" },
      bar, element("span", { textContent: row.name }), element("span", { textContent: number }));
    button.dataset.row = index;
    return button;
  }));
  const words = rows.map((row, index) => ({ row, index })).filter(({ row }) => row.kind === "word");
  at("words").hidden = !words.length;
  at("words").replaceChildren(...words.map(({ row, index }) => {
    const button = element("button", { type: "button", className: row.known ? "word" : "word unknown" },
      row.name, element("small", { textContent: `${percent(row.probability)}, strength ${row.strength.toFixed(2)}` }));
    button.dataset.row = index;
    return button;
  }));
}

async function select(index) {
  state.row = index;
  const row = state.found.rows[index];
  for (const button of document.querySelectorAll("[data-row]")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.row) === index));
  }
  showTokens(row);
  at("note").textContent = noteOn(row);
  state.picture = { name: state.found.name, row: index, box: state.found.box };
  if (!atOnce(at("method").value)) await showWhole(row);
  else showLayer();
}

async function showWhole(row) {
  // Such a method takes passes of its own, so it is computed for what was clicked alone.
  const turn = ++state.turn;
  busy(true);
  say("Computing; the first time the model is compiled ...");
  const whole = { classification: { label: row.target }, vqa: { answer: row.target }, captioning: { caption: state.found.rows[0].name } };
  try {
    const found = await explained(request(whole[state.task]));
    if (turn !== state.turn) return;
    const ofWhole = row.kind === "word" && found.choice.method.startsWith("guided");
    state.picture = { name: found.name, row: row.kind === "word" && !ofWhole ? state.row : 0, box: found.box };
    showLayer();
    say(ofWhole ? "This method is shown for the whole caption." : "");
  } catch (error) {
    if (turn === state.turn) {
      say("");
      complain(error.message);
    }
  } finally {
    if (turn === state.turn) busy(false);
  }
}

const improbable = (row) => row.kind === "target" && row.probability !== null && row.probability < 0.01;

function noteOn(row) {
  const { rows } = state.found;
  if (row.all_negative) return `No position of the photo speaks for “${row.name}”: there is nothing to see.`;
  const strongest = rows.filter((other) => other.kind === row.kind).sort((a, b) => b.strength - a.strength)[0];
  if (improbable(row)) {
    return `The model finds “${row.name}” improbable (${percent(row.probability)}, rank ${row.rank}): the map shows what little `
      + `speaks for it. It is ${row.strength.toFixed(2)} times as strong as that of “${strongest.name}”, and drawn on the same scale.`;
  }
  if (row.kind === "word" && !row.known) return `The model does not know “${row.name}”; it reads an unknown word.`;
  const strength = row === strongest ? "the strongest map" : `a map ${row.strength.toFixed(2)} times as strong as that of “${strongest.name}”`;
  return `Red is where the photo speaks most for “${row.name}”: ${strength}, of ${row.shape.join(" x ")} places.`;
}

function showTokens(row) {
  const all = state.found.rows.flatMap((other) => other.tokens.map(([, importance]) => Math.abs(importance)));
  const largest = Math.max(...all, 1e-12);
  at("tokens").hidden = !row.tokens.length;
  at("tokens").replaceChildren(...row.tokens.map(([word, importance], index) => {
    const known = state.found.tokens[index] ? state.found.tokens[index].known : true;
    const span = element("span", { textContent: known ? word : `${word} (unknown)`, title: importance.toFixed(4) });
    span.style.background = `rgba(var(--${importance > 0 ? "for" : "against"}), ${(0.8 * Math.abs(importance)) / largest})`;
    return span;
  }), element("small", { textContent: "With an average word in its place the score is lower (red) or higher (blue)." }));
}

function showLayer() {
  if (!state.picture || !state.photo) return;
  const { name, row, box } = state.picture;
  // What the model hardly believes must not look as if it did.
  const shared = at("shared").checked || improbable(state.found.rows[state.row]) ? 1 : 0;
  const opacity = at("opacity").value / 100;
  const base = `api/photos/${state.photo.id}/${name}`;
  const layer = at("layer");
  Object.assign(layer.style, {
    left: `${100 * box[0]}%`, top: `${100 * box[1]}%`, width: `${100 * box[2]}%`, height: `${100 * box[3]}%`, opacity,
  });
  const source = `${base}/layer?row=${row}&shared=${shared}`;
  if (layer.getAttribute("src") !== source) layer.src = source;
  layer.hidden = false;
  at("overlay").href = `${base}/overlay?row=${row}&shared=${shared}&opacity=${opacity}&keep=1`;
  at("panel").href = `${base}/panel?keep=1`;
  at("numbers").href = `${base}/numbers?keep=1`;
  at("arrays").href = `${base}/arrays?keep=1`;
}

// Choices

function fill(select, options, chosen) {
  select.replaceChildren(...options.map(([value, text]) => element("option", { value, textContent: text, selected: value === chosen })));
}

async function showChoices() {
  const models = state.offers.tasks[state.task];
  const choice = (state.choice[state.task] ??= { model: models.length ? models[0].name : "", layer: "", size: 0 });
  const model = models.find((one) => one.name === choice.model);
  fill(at("model"), models.map((one) => [one.name, one.name]), choice.model);
  if (!model) {
    complain("No model for this is on this machine.");
    return;
  }
  const sizes = [...new Set([model.size, ...state.offers.sizes])];
  fill(at("size"), sizes.map((size) => [String(size), `${size} x ${size}${size === model.size ? " (its own)" : ""}`]), String(choice.size || model.size));
  at("shared").checked = state.shared[state.task];
  const task = state.task;
  const query = `task=${task}&model=${encodeURIComponent(choice.model)}`;
  try {
    const layers = await call(`api/layers?${query}&size=${choice.size || 0}`);
    const names = task === "captioning" ? [] : await call(`api/names?${query}`);
    if (task !== state.task) return;
    const own = layers.find((one) => one.default) || { name: "" };
    fill(at("layer_name"), layers.map((one) => [one.name, `${one.name}, ${one.shape}${one.default ? " (default)" : ""}`]), choice.layer || own.name);
    at("names").replaceChildren(...names.map((name) => element("option", { value: name })));
  } catch (error) {
    complain(error.message);
  }
}

function setTask(task) {
  state.task = task;
  for (const button of at("tasks").children) button.setAttribute("aria-pressed", String(button.dataset.task === task));
  for (const field of document.querySelectorAll("[data-for]")) field.hidden = field.dataset.for !== task;
  state.found = state.picture = null;
  at("results").hidden = at("layer").hidden = true;
  complain("");
  say("");
  showChoices();
  if (state.photo) ask();
}

// Events

at("file").addEventListener("change", () => {
  if (at("file").files.length) choose(at("file").files[0]);
  at("file").value = "";
});
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    at("stage").classList.toggle("over", name === "dragover");
    if (name === "drop" && event.dataTransfer.files.length) choose(event.dataTransfer.files[0]);
  });
}
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) choose(event.clipboardData.files[0]);
});
at("tasks").addEventListener("click", (event) => {
  if (event.target.dataset.task) setTask(event.target.dataset.task);
});
at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
at("results").addEventListener("click", (event) => {
  const button = event.target.closest("[data-row]");
  if (button) {
    complain("");
    say("");
    select(Number(button.dataset.row));
  }
});
at("opacity").addEventListener("input", showLayer);
at("shared").addEventListener("change", () => {
  state.shared[state.task] = at("shared").checked;
  showLayer();
});
for (const [id, field] of [["model", "model"], ["layer_name", "layer"], ["size", "size"]]) {
  at(id).addEventListener("change", () => {
    const choice = state.choice[state.task];
    choice[field] = field === "size" ? Number(at(id).value) : at(id).value;
    if (field === "model") Object.assign(choice, { layer: "", size: 0 });
    if (field !== "layer") showChoices();
    if (state.photo) ask();
  });
}
at("method").addEventListener("change", () => state.photo && ask());
addEventListener("pagehide", forget);

async function start() {
  try {
    state.offers = await call("api/offers");
  } catch (error) {
    complain(error.message);
    return;
  }
  const { offers } = state;
  at("question").value = offers.question;
  fill(at("method"), offers.methods, "grad_cam");
  at("examples").replaceChildren(...offers.examples.map((name) => {
    const picture = element("img", { src: `api/examples/${encodeURIComponent(name)}`, alt: `example: ${name}` });
    const button = element("button", { type: "button", title: name }, picture);
    button.addEventListener("click", () => choose(name));
    return button;
  }));
  at("about").textContent += ` Files of at most ${offers.limits.bytes / 1e6} MB and ${offers.limits.pixels / 1e6} million pixels.`;
  await showChoices();
}

start();
