// Runs before the first paint, so that no page flashes in the wrong theme.
(() => {
  "use strict";
  let unsaved = null; // the choice of this page when the storage is switched off
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try {
      return localStorage.getItem("theme") || unsaved || account;
    } catch {
      return unsaved || account;
    }
  };
  // The theme of the account counts on every device, until the button in the header says otherwise on this one;
  // changing it on the account page makes it count again.
  const account = { light: "light", dark: "dark" }[root.dataset.theme];
  try {
    const known = localStorage.getItem("theme-of-account") || "auto";
    if (root.dataset.theme && known !== root.dataset.theme) {
      localStorage.setItem("theme-of-account", root.dataset.theme);
      localStorage.removeItem("theme");
    }
  } catch {
    // Without a storage there is nothing to forget.
  }
  let printing = false;
  const apply = () => {
    const theme = printing ? "light" : chosen() || (system.matches ? "dark" : "light");
    root.dataset.bsTheme = theme;
    document.dispatchEvent(new CustomEvent("themechange", { detail: theme }));
  };
  apply();
  system.addEventListener("change", apply);
  for (const [when, now] of [["beforeprint", true], ["afterprint", false]]) {
    addEventListener(when, () => {
      printing = now;
      apply();
    });
  }
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-switch]")) return;
    const next = root.dataset.bsTheme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("theme", next);
    } catch {
      unsaved = next;
    }
    apply();
  });
})();
