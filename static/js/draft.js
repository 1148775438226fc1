// What was typed into a new backtest outlives a reload and the way back to the page. Browsers put back single fields:
// those of the rule that the page began with, under the name of the one that was chosen.
(() => {
  "use strict";
  const form = () => document.getElementById("new-backtest");
  const REST = 300; // ms without a key: browsers refuse to note every one of them
  let changed = false;
  let timer = 0;

  const keep = () => {
    if (!changed || !form()) return;
    const typed = [...new FormData(form())].filter(([name, value]) => name !== "csrf_token" && typeof value === "string");
    history.replaceState({ ...history.state, draft: new URLSearchParams(typed).toString() }, "");
  };
  document.addEventListener("input", (event) => {
    changed ||= Boolean(event.target.closest("#new-backtest"));
    clearTimeout(timer);
    timer = setTimeout(keep, REST);
  });
  document.addEventListener("change", keep);
  document.addEventListener("htmx:afterSettle", keep);
  // "New backtest" in the header asks for an empty form, where a browser sees nothing but a reload of this address.
  document.addEventListener("click", (event) => {
    if (event.target.closest("a")?.href !== location.href) return;
    changed = false;
    clearTimeout(timer);
    history.replaceState(null, "");
  });

  const draft = history.state?.draft;
  if (draft && form()) htmx.ajax("get", `${form().dataset.draft}?${draft}`, { target: "#new-backtest", swap: "outerHTML" });
})();
