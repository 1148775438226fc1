// What htmx leaves to us: the CSRF header, errors that people see, and words for screen readers.
(() => {
  "use strict";
  const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content;

  document.addEventListener("htmx:configRequest", (event) => {
    if (event.detail.verb !== "get") event.detail.headers["X-CSRFToken"] = meta("csrf-token");
  });

  const complain = (text) => {
    const line = document.createElement("p");
    line.textContent = text;
    document.getElementById("toasts").replaceChildren(line);
    setTimeout(() => line.remove(), 8000);
  };
  const follows = (element) => element.matches("[hx-trigger*='every '], [hx-trigger^='load']");
  document.addEventListener("htmx:responseError", ({ detail: { elt, xhr } }) => {
    if (xhr.getResponseHeader("X-Login") && document.getElementById("login-again")) return; // login.js
    if (xhr.status >= 500 && follows(elt)) return; // connection.js goes on by itself
    const said = xhr.getResponseHeader("X-Error");
    complain(said ? decodeURIComponent(said) : Words.say("The server answered %(n)s.", { n: xhr.status }));
  });
  document.addEventListener("htmx:sendError", ({ detail: { elt } }) => {
    if (follows(elt)) return; // connection.js
    complain(Words.say("The server does not answer. Trying again helps once it is back."));
  });

  // A fragment that is gone no longer waits for its answer: there is no place left for it.
  document.addEventListener("htmx:beforeCleanupElement", ({ target }) => {
    if (target.matches("[hx-get], [hx-post]")) htmx.trigger(target, "htmx:abort");
  });

  // A polled fragment is replaced several times a second; only a changed sentence is read out.
  const announce = () => {
    const said = document.getElementById("announce");
    const text = document.querySelector("[data-announce]")?.dataset.announce;
    if (text && said.textContent !== text) said.textContent = text;
  };
  // The keyboard stays where it was: a button that is gone after its click leaves the focus to what came instead.
  const began = new WeakSet(); // requests from where the focus was; a button that is switched off meanwhile loses it
  const held = new Set(); // ids of the fragments with the focus in them; others are swapped in between
  const holds = (target) => target && target !== document.body && target.contains(document.activeElement);
  document.addEventListener("htmx:beforeRequest", ({ detail: { target, xhr } }) => holds(target) && began.add(xhr));
  document.addEventListener("htmx:beforeSwap", ({ detail: { target, xhr } }) => {
    if (holds(target) || (began.has(xhr) && document.activeElement === document.body)) held.add(target.id);
    else held.delete(target?.id);
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    announce();
    const first = event.target.querySelector?.("[data-focus-on-swap]");
    const was = held.delete(event.target.id);
    if (first) first.focus();
    else if (was && event.target.id && document.activeElement === document.body) {
      const wrong = event.target.querySelector("[aria-invalid='true']");
      if (!wrong) event.target.tabIndex = -1;
      (wrong || event.target).focus({ preventScroll: !wrong });
    }
  });

  // A page that came back with mistakes begins at the first of them.
  document.addEventListener("DOMContentLoaded", () => document.querySelector("main [aria-invalid='true']")?.focus());

  // What stands in a field or a line, to be copied. Browsers hand out their clipboard over HTTPS only, else the old way.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    const source = button && document.getElementById(button.dataset.copy);
    if (!source) return;
    if (source.select) source.select();
    else getSelection().selectAllChildren(source);
    const copied = navigator.clipboard
      ? await navigator.clipboard.writeText(source.value ?? source.textContent).then(() => true, () => false)
      : document.execCommand("copy");
    if (!copied) return; // it stays selected: the keyboard copies it
    button.textContent = button.dataset.copied;
    document.getElementById("announce").textContent = button.dataset.copied;
  });

  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.isComposing) return; // while a Korean syllable is made, it takes that back
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
})();
