// The list of backtests: select all, select a range, say how many, and keep the focus where it was.
(() => {
  "use strict";
  let last = null; // the box ticked last, where a range begins
  let returnTo = ""; // id of what had the focus before the list was swapped

  const boxes = () => [...document.querySelectorAll("#list tbody .pick input")];
  const count = () => {
    const every = boxes();
    const ticked = every.filter((box) => box.checked).length;
    const all = document.querySelector("[data-pick-all]");
    if (all) {
      all.hidden = false;
      all.checked = ticked > 0 && ticked === every.length;
      all.indeterminate = ticked > 0 && ticked < every.length;
    }
    const words = document.querySelector("[data-pick-count]");
    if (words) words.textContent = words.dataset.pickCount.replace("0", ticked);
  };

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-pick-all]")) for (const box of boxes()) box.checked = event.target.checked;
    if (event.target.matches(".pick input")) count();
  });
  document.addEventListener("click", (event) => {
    const box = event.target.closest("#list tbody .pick input");
    if (!box) return;
    const every = boxes();
    const [from, to] = [every.indexOf(last), every.indexOf(box)];
    if (event.shiftKey && from >= 0) {
      for (const one of every.slice(Math.min(from, to), Math.max(from, to) + 1)) one.checked = box.checked;
    }
    last = box;
    count();
  });
  document.addEventListener("click", (event) => event.target.closest("[data-close]")?.parentElement.remove());
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.isComposing || event.target.closest("details[open]")) return;
    for (const box of boxes()) box.checked = false;
    count();
  });

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.target?.id !== "list") return;
    const active = document.activeElement;
    returnTo = active?.closest("details.menu")?.querySelector("summary")?.id || active?.id || "";
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    count();
    if (event.detail.target?.id !== "list") return;
    last = null;
    const list = document.getElementById("list");
    if (list.querySelector("[data-focus-on-swap]")) return; // app.js has put the focus there
    const next = list.querySelector("details.menu[open] [aria-invalid], details.menu[open] .field-error")
      || list.querySelector("[data-close]") || document.getElementById(returnTo);
    next?.focus({ preventScroll: true });
  });
  count();
  addEventListener("pageshow", count); // by now the browser has put back what was ticked before
})();
