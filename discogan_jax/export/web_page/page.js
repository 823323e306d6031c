const byId = (id) => document.getElementById(id);
const number = (x) => x.toLocaleString("en");

function make(tag, parent, text, properties = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  if (text !== undefined) element.textContent = text;
  if (parent) parent.append(element);
  return element;
}

// What translates is `model`, of a script before this one: `about()` describes it, `translate` makes
// the pictures of a card or fails with an error for people, and `example` has a picture of training.
let about;
let cards = [];                          // one for each picture that is shown
let current = new AbortController();     // ends the translations that are no longer wanted

const direction = () => document.querySelector("#directions :checked").value;
const step = () => (about.steps.length > 1 ? about.steps[byId("steps").querySelector("input").value] : "");

function say(text) {
  byId("said").textContent = text;
}

// There is no step where nothing was translated, or by an exported file.
const sayStep = (step) => say(Number.isInteger(step) ? `By the checkpoint of step ${number(step)}.` : "");

// A result: the name of a file and its pictures, or the reason why there are none.
class Card {
  constructor(name, file) {
    this.name = name;
    this.file = file;
    this.element = make("article", byId("cards"));
    if (name) make("h3", this.element, name);
    this.error = make("div", this.element, undefined, { role: "alert" });
    this.pictures = make("div", this.element, undefined, { className: "pictures" });
    this.empty();
  }

  empty() {
    this.pictures.replaceChildren();
    for (const label of about.directions[direction()]) {
      const figure = make("figure", this.pictures);
      make("div", figure, undefined, { className: "empty" }).style.aspectRatio = about.size[1] / about.size[0];
      make("figcaption", figure, label);
    }
  }

  wait() {
    this.error.replaceChildren();
    this.element.ariaBusy = "true";
  }

  show(labels, made) {
    const { step, pictures } = made;
    this.element.ariaBusy = "false";
    this.pictures.replaceChildren();
    labels.forEach((label, i) => {
      const figure = make("figure", this.pictures);
      make("img", figure, undefined, { src: pictures[i], alt: `${label}, of ${this.name}` });
      make("figcaption", figure, label);
      const words = [this.name.replace(/\.\w+$/, ""), label.replaceAll("→", "to")];
      if (step !== null) words.push(`step ${step}`);
      const download = `${words.join(" ")}.png`;
      const link = make("a", figure, "Download", { href: pictures[i], download, className: "button" });
      link.ariaLabel = `Download ${download}`;
    });
    this.element.dispatchEvent(new CustomEvent("shown", { detail: made, bubbles: true }));
  }

  fail(why, mayHelpAgain = false) {
    this.element.ariaBusy = "false";
    this.pictures.replaceChildren();
    make("p", this.error, why, { className: "error" });
    if (!mayHelpAgain) return;
    make("button", this.error, "Try again").addEventListener("click", async () => {
      this.wait();
      sayStep(await this.translate(current.signal));
    });
  }

  // Returns the step of the checkpoint, where a translation was made.
  async translate(signal) {
    const way = direction();
    if (this.file.size > about.max_bytes)
      return this.fail(`The file is too large: the limit is ${about.max_bytes >> 20} MB.`);
    try {
      const made = await model.translate(this.file, way, step(), signal);
      if (signal.aborted) return;
      this.show(about.directions[way], made);
      return made.step;
    } catch (error) {
      if (!signal.aborted) this.fail(error.message, error.mayHelpAgain);
    }
  }
}

// Translates everything that is shown, a few at a time; what was going on before is given up.
async function translate() {
  current.abort();
  const { signal } = (current = new AbortController());
  const waiting = [...cards];
  let done = 0, last;
  const sayHowFar = () => (done < cards.length ? say(`${done} of ${cards.length} done …`) : sayStep(last));
  const work = async () => {
    for (let card; !signal.aborted && (card = waiting.shift()); ) {
      const made = await card.translate(signal);
      if (signal.aborted) return;
      last = made ?? last;
      done += 1;
      sayHowFar();
    }
  };
  for (const card of cards) card.wait();
  if (cards.length) sayHowFar();
  await Promise.all(Array.from({ length: about.at_once }, work));
}

// Takes pictures in place of those before.
function take(files, example) {
  if (!files.length) return;
  for (const button of document.querySelectorAll(".row button")) button.ariaPressed = String(button === example);
  byId("cards").replaceChildren();
  cards = files.map((file) => new Card(file.name, file));
  translate();
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  byId("results").scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
}

function takesFiles() {
  const input = byId("choose").querySelector("input");
  input.addEventListener("change", () => {
    take([...input.files]);
    input.value = "";  // the same file can be chosen again
  });
  const drop = (on) => document.body.classList.toggle("dropping", on);
  addEventListener("dragover", (event) => { event.preventDefault(); drop(true); });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop(false); });
  addEventListener("drop", (event) => {
    event.preventDefault();
    drop(false);
    if (event.dataTransfer.files.length) take([...event.dataTransfer.files]);
    else say("That was no file: save the picture first, then drop the file.");
  });
  addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) take([...event.clipboardData.files]);
    else say("There is no picture in the clipboard.");
  });
  byId("paste").hidden = !navigator.clipboard?.read;  // only at addresses that the browser trusts
  byId("paste").addEventListener("click", async () => {
    try {
      for (const item of await navigator.clipboard.read()) {
        const type = item.types.find((t) => t.startsWith("image/"));
        if (type) return take([new File([await item.getType(type)], "pasted.png", { type })]);
      }
      say("There is no picture in the clipboard.");
    } catch {
      say("The browser does not let this page read the clipboard: press Ctrl-V or ⌘V instead.");
    }
  });
}

function directions() {
  const ways = Object.entries(about.directions);
  ways.forEach(([way, labels], i) => {
    const label = make("label", byId("directions"), labels[1]);
    const input = make("input", label, undefined, { type: "radio", name: "direction", value: way, checked: i === 0 });
    input.addEventListener("change", translate);
  });
  byId("directions").hidden = ways.length < 2;
}

function steps() {
  const [slider, said] = ["input", "b"].map((tag) => byId("steps").querySelector(tag));
  byId("steps").hidden = about.steps.length < 2;
  slider.max = slider.value = about.steps.length - 1;
  const show = () => (slider.ariaValueText = said.textContent = step() === "" ? "" : number(step()));
  slider.addEventListener("input", show);
  slider.addEventListener("change", translate);
  show();
}

function examples() {
  const place = byId("examples");
  if (about.no_examples) make("h2", place, about.no_examples);
  for (const [i, domain] of about.domains.entries()) {
    const names = about.examples.filter((name) => name.startsWith("ab"[i]));
    if (!names.length) continue;
    const part = make("div", place);
    make("h2", part, `Examples of ${domain}, which training never saw`);
    const row = make("div", part, undefined, { className: "row" });
    names.forEach((name, n) => {
      const title = `${domain} ${n + 1}`;
      const button = make("button", row, undefined, { title, ariaPressed: "false" });
      make("img", button, undefined, { src: model.example(name), alt: `Example: ${title}` });
      button.addEventListener("click", async () => {
        const way = Object.keys(about.directions).find((d) => d[0] === name[0]);
        document.querySelector(`#directions [value=${way}]`).checked = true;
        const picture = await (await fetch(model.example(name))).blob();
        take([new File([picture], `${title}.png`)], button);
      });
    });
  }
}

async function start() {
  about = await model.about();
  const title = about.domains.join(Object.keys(about.directions).length > 1 ? " ↔ " : " → ");
  document.title = document.querySelector("h1").textContent = title;
  byId("logout").hidden = !about.has_login;
  document.querySelector("footer").textContent =
    `${about.kinds.join(", ")}; at most ${about.max_bytes >> 20} MB and ${about.max_pixels / 1e6} megapixels. ` +
    `As in training, pictures are prepared: ${about.prepared}. Results are scaled to the picture's size. ` +
    model.privacy;
  directions();
  steps();
  examples();
  new Card();
  say(`Choose a picture${about.examples.length ? " or an example" : ""}: its translation appears here.`);
  takesFiles();
  dispatchEvent(new Event("started"));
}

start().catch((error) => say(error.message));
