
// The tab of the catalogue: under each translation, the pictures that go with it.
addEventListener("started", () => {
  if (!about.catalogue) return;
  const { domain, pictures } = about.catalogue;
  const tabs = make("div", undefined, undefined, { role: "tablist", className: "tabs" });
  const found = `Matching ${domain} of ${number(pictures)} in the catalogue`;
  for (const [tab, title] of [["translations", "Translations"], ["matches", found]]) {
    const button = make("button", tabs, title, { role: "tab" });
    button.setAttribute("aria-controls", "cards");
    button.addEventListener("click", () => {
      document.body.dataset.tab = tab;
      for (const other of tabs.children) other.ariaSelected = String(other === button);
    });
  }
  byId("results").prepend(tabs);
  tabs.firstChild.click();
});

addEventListener("shown", ({ target, detail: { matches } }) => {
  target.querySelector(".matches")?.remove();
  if (!about.catalogue) return;
  const list = make("div", target, undefined, { className: "matches" });
  if (!matches) make("p", list, `The catalogue has ${about.catalogue.domain}: choose the direction that leads there.`);
  for (const { name, distance, picture } of matches ?? []) {
    const figure = make("figure", list);
    make("img", figure, undefined, { src: picture, alt: name });
    make("figcaption", figure, name, { title: `distance ${distance.toFixed(3)}` });
  }
});
