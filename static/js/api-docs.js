// The page of the API: find by words, and open what the address names.
const field = document.querySelector("[data-api-search]");
const entries = [...document.querySelectorAll("[data-api-entry]")];
const groups = [...document.querySelectorAll("[data-api-group]")];
const texts = new Map(entries.map((entry) => [entry, entry.textContent.toLowerCase()]));

function search() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const entry of entries) {
    const fits = words.every((word) => texts.get(entry).includes(word));
    entry.hidden = !fits;
    found += fits ? 1 : 0;
  }
  for (const group of groups) {
    group.hidden = !group.querySelector("[data-api-entry]:not([hidden])");
  }
  document.getElementById("api-found").textContent = words.length ? Words.say("%(n)s found", { n: found }) : "";
}

function openNamed() {
  const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (named instanceof HTMLDetailsElement) {
    named.open = true;
    named.scrollIntoView();
  }
}

field.addEventListener("input", search);
addEventListener("hashchange", openNamed);
openNamed();
