"use strict";
// The pages of a report: summary, gallery and each photo. Everything shown is set as text, never as HTML.
// An index row: [key, id, flags, prediction, probability, targets, the first target's probability, more words].

const FAILED = 1, BLANK = 2, NO_PICTURE = 4;
const KEY = 0, ID = 1, FLAGS = 2, PREDICTION = 3, PROBABILITY = 4, TARGETS = 5, TARGET_PROBABILITY = 6, MORE = 7;
const CARDS = 48, MOST_NAMES = 2000, IMPROBABLE = 0.01;
const GRADIENTS = { guided_backprop: "guided backpropagation", guided_grad_cam: "Guided Grad-CAM" };

const report = (() => {
  let run = null, rows = null, chosen = [], asked = null;
  const indexes = [], records = new Map(), main = document.getElementById("main");

  // ---- elements

  function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name in element && name !== "list" && name !== "form") element[name] = value;
      else element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null && child !== ""));
    return element;
  }

  const percent = (value) => value === null || value === undefined ? "" :
    value >= 0.9995 ? "100 %" : value >= 0.0995 ? `${(100 * value).toFixed(0)} %` : `${(100 * value).toPrecision(2)} %`;
  const number = (value) => value === null || value === undefined ? "" : Number(value.toPrecision(4)).toString();
  const count = (value) => value.toLocaleString("en");
  const picture = (key, name) => `pictures/${key.slice(0, 2)}/${key}${name}.jpg`;
  const link = (state, text) => make("a", { href: hash(state) }, text);

  function table(heads, lines, numeric = []) {
    const cell = (value, place) => make("td", { className: numeric.includes(place) ? "number" : "text" },
      value === null || value === undefined ? "" : value);
    const head = heads ? [make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", {}, text))))] : [];
    const body = make("tbody", {}, ...lines.map((line) => make("tr", {}, ...line.map(cell))));
    return make("div", { className: "wide" }, make("table", {}, ...head, body));
  }

  // ---- where we are: what stands after # in the address

  function hash(state) {
    return "#" + new URLSearchParams(Object.entries(state).filter(([, value]) => value !== "")).toString();
  }

  function here() {
    return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  }

  const filters = ({ photo, gallery, page, ...rest }) => rest;

  // ---- data, each chunk a script

  function load(path) {
    return new Promise((resolve, reject) => {
      const script = make("script", { src: path });
      script.onload = resolve;
      script.onerror = () => reject(new Error(`${path} is missing: the report is not whole.`));
      document.head.append(script);
    });
  }

  async function wholeIndex() {
    if (rows) return rows;
    const numbers = [...Array(run.chunks.index).keys()];
    await Promise.all(numbers.map((chunk) => load(`data/index-${String(chunk).padStart(5, "0")}.js`)));
    rows = indexes.flat();
    return rows;
  }

  async function recordAt(place) {
    const chunk = Math.floor(place / run.chunks.records);
    if (!records.has(chunk)) await load(`data/records-${String(chunk).padStart(5, "0")}.js`);
    return records.get(chunk)[place % run.chunks.records];
  }

  // ---- summary

  function showSummary() {
    const numbers = [["photos", run.photos], ["explained", run.photos - run.failed], ["failed", run.failed],
      ["with a target that nothing speaks for", run.blank]];
    if (run.without_picture) numbers.push(["explained, but their photo is not to be found now", run.without_picture]);
    const settings = run.settings;
    main.replaceChildren(
      make("h1", {}, run.title),
      make("p", { className: "faint" }, `${settings.model ?? ""}, ${settings.task ?? ""}, layer ${settings.layer ?? ""}, ` +
        `${settings.input_size ?? ""} pixels, ${settings.dtype ?? ""}, ${(settings.devices ?? []).join(", ")}`),
      make("ul", { className: "numbers" },
        ...numbers.map(([name, value]) => make("li", {}, make("b", {}, count(value)), name))),
      make("p", {}, link({ gallery: 1 }, "All photos")),
      ...failures(), ...predictions(), ...times(),
      make("h2", {}, "What was asked"),
      table(null, Object.entries(settings).map(([name, value]) =>
        [name, Array.isArray(value) ? value.join(", ") : typeof value === "string" ? value : JSON.stringify(value)])));
  }

  function failures() {
    if (!run.reasons.length) return [];
    return [make("h2", {}, "Failures"), ...run.reasons.map(({ reason, count: many, files }) => {
      const list = make("ul", {}, ...files.map((file) => make("li", {}, file)));
      const more = many > files.length ? make("p", { className: "faint" }, `and ${count(many - files.length)} more: `,
        link({ gallery: 1, failed: 1, search: reason.slice(0, 60) }, "among the photos")) : "";
      return make("details", { className: "reason" },
        make("summary", { className: "bad" }, `${reason} (${count(many)})`), list, more);
    })];
  }

  function predictions() {
    if (!run.predictions.length || run.predictions[0][1] < 2) return [];
    const most = run.predictions[0][1];
    const lines = run.predictions.map(([name, many]) => [link({ gallery: 1, prediction: name }, name || "(none)"),
      count(many), bar(many / most)]);
    return [make("h2", {}, `Predictions (${count(run.classes)} different)`), table(null, lines, [1])];
  }

  function bar(share) {
    const element = make("span", { className: "bar" });
    element.style.width = `${Math.max(12 * share, 0.1)}rem`;
    return element;
  }

  function times() {
    if (!run.times.length) return [];
    const share = (part, one) => percent(part / Math.max(one.seconds, 1e-9));
    const lines = run.times.map((one) => [one.ended, count(one.explained), count(one.failed), one.seconds.toFixed(1),
      ((one.explained + one.failed) / Math.max(one.seconds, 1e-9)).toFixed(1),
      share(one.decode_seconds / one.processes, one), share(one.compute_seconds, one), share(one.write_seconds, one)]);
    const heads = ["ended", "explained", "failed", "seconds", "photos a second", "busy decoding", "computing", "writing"];
    return [make("h2", {}, "Time"), table(heads, lines, [1, 2, 3, 4, 5, 6, 7])];
  }

  // ---- gallery

  function names(column) {
    const numbers = new Map();
    for (const row of rows) {
      for (const name of [row[column]].flat()) if (name) numbers.set(name, (numbers.get(name) ?? 0) + 1);
    }
    return [...numbers].sort((one, other) => other[1] - one[1]).slice(0, MOST_NAMES);
  }

  function matching(state) {
    const text = (state.search ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    const from = state.from ? state.from / 100 : -1, to = state.to ? state.to / 100 : 2;
    const found = [];
    rows.forEach((row, place) => {
      if (state.failed && !(row[FLAGS] & FAILED)) return;
      if (state.blank && !(row[FLAGS] & BLANK)) return;
      if (state.other && (row[FLAGS] & FAILED || row[TARGETS].includes(row[PREDICTION]))) return;
      if (state.prediction && row[PREDICTION] !== state.prediction) return;
      if (state.explained && !row[TARGETS].includes(state.explained)) return;
      if ((state.from || state.to) && !(row[TARGET_PROBABILITY] !== null && row[TARGET_PROBABILITY] >= from &&
        row[TARGET_PROBABILITY] <= to)) return;
      if (text.length) {
        const all = `${row[ID]} ${row[PREDICTION]} ${row[TARGETS].join(" ")} ${row[MORE]}`.toLowerCase();
        if (!text.every((word) => all.includes(word))) return;
      }
      found.push(place);
    });
    const order = {
      low: (one, other) => (rows[one][TARGET_PROBABILITY] ?? 2) - (rows[other][TARGET_PROBABILITY] ?? 2),
      high: (one, other) => (rows[other][TARGET_PROBABILITY] ?? -1) - (rows[one][TARGET_PROBABILITY] ?? -1),
      name: (one, other) => rows[one][ID] < rows[other][ID] ? -1 : 1,
    }[state.sort];
    return order ? found.sort(order) : found;
  }

  function controls(state) {
    const form = make("form", { id: "filter" });
    const field = (name, label, properties) => {
      const input = make("input", { name, value: state[name] ?? "", ...properties });
      form.append(make("label", {}, label, input));
      return input;
    };
    const choices = (name, column) => {
      const list = make("datalist", { id: `${name}-names` },
        ...names(column).map(([text, many]) => make("option", { value: text }, `${text} (${count(many)})`)));
      form.append(list);
      field(name, `${name} (choose or type)`, { list: `${name}-names` });
    };
    field("search", "search names, questions, captions, reasons", { type: "search" });
    choices("prediction", PREDICTION);
    choices("explained", TARGETS);
    field("from", "probability from %", { type: "number", min: 0, max: 100, step: "any" });
    field("to", "to %", { type: "number", min: 0, max: 100, step: "any" });
    const options = { "": "as in the run", low: "least probable first", high: "most probable first", name: "by name" };
    form.append(make("label", {}, "order", make("select", { name: "sort" }, ...Object.entries(options).map(
      ([value, text]) => make("option", { value, selected: (state.sort ?? "") === value }, text)))));
    for (const [name, label] of [["blank", "nothing speaks for it"], ["failed", "failed"], ["other", "explained is not predicted"]]) {
      form.append(make("label", { className: "box" },
        make("input", { type: "checkbox", name, value: "1", checked: Boolean(state[name]) }), label));
    }
    form.append(make("button", { type: "button", onclick: () => { location.hash = "#gallery=1"; } }, "Show all"));
    const apply = () => {
      const entries = Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
      history.replaceState(null, "", hash({ gallery: 1, ...entries }));
      showCards(here());
    };
    form.onsubmit = (event) => { event.preventDefault(); apply(); };
    let waiting = 0;
    form.oninput = () => { clearTimeout(waiting); waiting = setTimeout(apply, 150); };
    return form;
  }

  async function showGallery(state) {
    if (!rows) {
      main.replaceChildren(make("p", { className: "faint" }, `reading the index of ${count(run.photos)} photos`));
      await wholeIndex();
      if (!("gallery" in here())) return;
    }
    main.replaceChildren(controls(state), make("div", { id: "cards" }));
    showCards(state);
  }

  function showCards(state) {
    chosen = matching(state);
    const last = Math.max(Math.ceil(chosen.length / CARDS), 1);
    const page = Math.min(Math.max(Number(state.page ?? 1) || 1, 1), last);
    const shown = chosen.slice((page - 1) * CARDS, page * CARDS);
    const turn = (to, text) => make("button", { type: "button", disabled: to < 1 || to > last || to === page,
      onclick: () => { location.hash = hash({ gallery: 1, ...filters(state), page: to }); scrollTo(0, 0); } }, text);
    const pages = () => make("div", { className: "pages" }, turn(1, "first"), turn(page - 1, "previous"),
      make("span", {}, `page ${count(page)} of ${count(last)}`), turn(page + 1, "next"), turn(last, "last"),
      make("span", { className: "faint found" }, `${count(chosen.length)} of ${count(rows.length)} photos`));
    document.getElementById("cards").replaceChildren(pages(),
      make("div", { className: "grid" }, ...shown.map((place) => card(rows[place], state))),
      ...(last > 1 ? [pages()] : []));
  }

  function card(row, state) {
    const target = row[TARGETS][0];
    let image;
    if (row[FLAGS] & FAILED) image = make("span", { className: "bad" }, row[MORE]);
    else if (row[FLAGS] & NO_PICTURE) image = make("span", { className: "bad" }, "the photo is not to be found now");
    else image = make("img", { loading: "lazy", decoding: "async", src: picture(row[KEY], "-cam-0"),
      alt: `map of ${target} on ${row[ID]}` });
    const lines = row[FLAGS] & FAILED ? ["failed"] : [
      `${target ?? ""} ${percent(row[TARGET_PROBABILITY])}`,
      row[FLAGS] & BLANK ? "nothing speaks for it" : "",
      target === row[PREDICTION] ? "" : `predicted: ${row[PREDICTION]}`];
    return make("a", { className: "card", href: hash({ photo: row[KEY], ...filters(state) }) },
      make("div", { className: "picture" }, image),
      make("div", { className: "text" }, name_of(row[ID]),
        ...lines.filter(Boolean).map((text) => make("div", { className: "faint", title: text }, text))));
  }

  // Of a long path the folders are cut short, never the file's name.
  function name_of(id) {
    const end = id.lastIndexOf("/") + 1;
    return make("div", { title: id, className: "name" }, make("span", {}, id.slice(0, end)), make("span", {}, id.slice(end)));
  }

  // ---- one photo

  async function showPhoto(state) {
    await wholeIndex();
    const place = rows.findIndex((row) => row[KEY] === state.photo);
    if (place < 0) {
      main.replaceChildren(make("p", { className: "bad" }, `There is no photo ${state.photo} in this report.`));
      return;
    }
    const record = await recordAt(place);
    if (here().photo !== state.photo) return;
    const list = matching(filters(state)), at = list.indexOf(place);
    const step = (by, text) => make("button", { type: "button", disabled: !(at + by in list) || at < 0,
      onclick: () => { location.hash = hash({ photo: rows[list[at + by]][KEY], ...filters(state) }); } }, text);
    const request = Object.entries(record.request).map(([name, text]) =>
      [name, text === "-1" ? "what the model predicts" : text]);
    main.replaceChildren(
      make("div", { className: "pages" }, step(-1, "previous"), step(1, "next"),
        link({ gallery: 1, ...filters(state), page: Math.floor(Math.max(at, 0) / CARDS) + 1 }, "all photos"),
        make("span", { className: "faint" }, at < 0 ? "" : `${count(at + 1)} of ${count(list.length)}`)),
      make("h1", {}, record.id),
      make("p", { className: "faint" }, location_of(record.path)),
      record.error ? make("p", { className: "bad" }, record.error) : "",
      record.problem ? make("p", { className: "bad" }, `The run explained this photo; now: ${record.problem}`) : "",
      request.length ? make("div", {}, make("h2", {}, "Asked"), table(null, request)) : "",
      ...(record.size ? figures(record) : []), ...numbers(record), ...guesses(record));
  }

  function location_of(path) {
    if (!path || !path.startsWith("/")) return path ?? "";
    return make("a", { href: "file://" + path.split("/").map(encodeURIComponent).join("/") }, path);
  }

  function figures(record) {
    const [width, height] = record.size;
    const figure = (name, alt, ...caption) => make("figure", {},
      make("img", { src: picture(record.key, name), alt, width, height }), make("figcaption", {}, ...caption));
    const strongest = Math.max(...record.targets.map((target) => target.strength), 1e-30);
    const all = [figure("", `the photo ${record.id}`, "photo")];
    for (const name of record.maps) {
      for (const target of record.targets) {
        const about = `${name === "cam" ? "" : `${name}: `}${target.name}`;
        const strength = record.targets.length > 1 ? `, strength ${percent(target.strength / strongest)} of the strongest` : "";
        const unlikely = target.probability < IMPROBABLE && target.rank ? ": improbable" : "";
        const notes = unlikely + (target.all_negative ? ", no position speaks for it" : strength);
        all.push(figure(`-${name}-${target.place}`, `map of ${about}`, make("b", {}, about),
          ` ${percent(target.probability)}${target.rank ? `, rank ${target.rank}` : ""}${notes}`));
      }
    }
    const parts = [make("h2", {}, "Maps"), make("div", { className: "figures" }, ...all)];
    const gradients = record.targets.map((target) => make("div", { className: "figures" }, ...record.gradients.map((name) =>
      figure(`-${name}-${target.place}`, `${GRADIENTS[name]} of ${target.name}`, make("b", {}, target.name),
        ` ${GRADIENTS[name]}`))));
    if (record.gradients.length) parts.push(make("h2", {}, "Guided gradients"), ...gradients);
    if (record.words) parts.push(make("h2", {}, "Word by word"), words(record));
    if (record.tokens) parts.push(make("h2", {}, "Words of the question"), ...record.targets.map((target) => tokens(record, target)));
    return parts;
  }

  function words(record) {
    const [width, height] = record.size, factor = 150 / Math.max(width, height);
    const tile = [Math.max(Math.round(width * factor), 1), Math.max(Math.round(height * factor), 1)];
    const strongest = Math.max(...record.words.map((word) => word.strength), 1e-30);
    return make("div", { className: "words" }, ...record.words.map((word, place) => {
      const image = make("div", { className: "word", role: "img", "aria-label": `map of the word ${word.name}` });
      image.style.width = `${tile[0]}px`;
      image.style.height = `${tile[1]}px`;
      image.style.backgroundImage = `url("${picture(record.key, "-words")}")`;
      image.style.backgroundPosition = `-${place * tile[0]}px 0`;
      const notes = word.all_negative ? "nothing speaks for it" : `strength ${(word.strength / strongest).toFixed(2)}`;
      return make("figure", {}, image, make("figcaption", {}, make("b", {}, word.name),
        ` ${percent(Math.exp(word.score))}`, make("br"), make("span", { className: "faint" }, notes)));
    }));
  }

  function tokens(record, target) {
    const most = Math.max(...target.importances.map(Math.abs), 1e-30);
    return make("p", {}, make("b", {}, `${target.name}: `), ...record.tokens.map((text, place) => {
      const share = target.importances[place] / most;
      const element = make("span", { className: "token", title: number(target.importances[place]) }, text);
      element.style.backgroundColor = `rgb(var(--${share > 0 ? "for" : "against"}) / ${(0.75 * Math.abs(share)).toFixed(3)})`;
      return element;
    }), make("span", { className: "faint" }, " red speaks for the answer, blue against it"));
  }

  function numbers(record) {
    if (!record.targets.length) return [];
    const heads = ["explained", "score", "probability", "rank", "strength of the map", ""];
    return [make("h2", {}, "Numbers"), table(heads, record.targets.map((target) => [target.name, number(target.score),
      percent(target.probability), target.rank ?? "", number(target.strength),
      target.all_negative ? "no position speaks for it" : ""]), [1, 2, 3, 4])];
  }

  function guesses(record) {
    if (!record.predictions.length) return [];
    return [make("h2", {}, "The model's own"), table(null, record.predictions.map((one) =>
      [one.name, percent(one.probability), bar(one.probability ?? 0)]), [1])];
  }

  // ---- going about

  async function show() {
    const state = here();
    try {
      if (state.photo) await showPhoto(state);
      else if ("gallery" in state) await showGallery(state);
      else showSummary();
    } catch (error) {
      main.replaceChildren(make("p", { className: "bad" }, String(error.message ?? error)));
    }
    if (asked !== location.hash.split("page=")[0]) scrollTo(0, 0);
    asked = location.hash.split("page=")[0];
  }

  addEventListener("hashchange", show);
  addEventListener("keydown", (event) => {
    if (event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
    const name = { ArrowLeft: "previous", ArrowRight: "next" }[event.key];
    const button = [...document.querySelectorAll(".pages button")].find((one) => one.textContent === name);
    if (button) button.click();
  });

  return {
    summary(content) {
      run = content;
      document.title = `${run.title}: report`;
      document.getElementById("title").textContent = run.title;
      show();
    },
    index(chunk, content) { indexes[chunk] = content; },
    records(chunk, content) { records.set(chunk, content); },
  };
})();
