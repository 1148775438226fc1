// Words of the other scripts in the language of the page, which the server puts on the body; English without any.
(() => {
  "use strict";
  const words = JSON.parse(document.body.dataset.words || "{}");
  const filled = (text, values) => text.replace(/%\((\w+)\)s/g, (whole, name) => values[name] ?? whole);
  // A label such as "Mean 24" is known without its number.
  const say = (text, values = {}) => {
    if (words[text]) return filled(words[text], values);
    const n = /\d[\d.,\s]*\d|\d/.exec(text)?.[0];
    const known = n && words[text.replace(n, "%(n)s")];
    return known ? filled(known, { n }) : filled(text, values);
  };
  window.Words = { say, lang: document.documentElement.lang || "en" };
})();
