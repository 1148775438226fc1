// Answers beside the fields of a new backtest while it is filled in: asked of the server, which knows the rules.
(() => {
  "use strict";
  const touched = new Set();
  let latest = 0;

  const idOf = (name) => name.replace(/[._]/g, "-");

  const anchorOf = (form, id) => {
    const control = document.getElementById(id);
    if (control) return control;
    const first = form.querySelector(`[name="${id}"]`);
    return first ? first.closest(".picks") : null;
  };

  const describe = (anchor, errorId, wrong) => {
    const owner = anchor.classList.contains("picks") ? anchor.closest("fieldset") : anchor;
    const ids = (owner.getAttribute("aria-describedby") || "").split(" ").filter((one) => one && one !== errorId);
    if (wrong) ids.unshift(errorId);
    if (ids.length) owner.setAttribute("aria-describedby", ids.join(" "));
    else owner.removeAttribute("aria-describedby");
    if (wrong) owner.setAttribute("aria-invalid", "true");
    else owner.removeAttribute("aria-invalid");
  };

  const show = (form, id, text) => {
    const anchor = anchorOf(form, id);
    if (!anchor) return;
    let line = document.getElementById(`${id}-error`);
    if (text && !line) {
      line = document.createElement("span");
      line.className = "field-error";
      line.id = `${id}-error`;
      anchor.after(line);
    }
    if (text) line.textContent = text;
    else if (line) line.remove();
    describe(anchor, `${id}-error`, Boolean(text));
  };

  const check = async (form) => {
    const mine = ++latest;
    let answer;
    try {
      answer = await fetch(form.dataset.check, { method: "POST", body: new FormData(form), headers: { "HX-Request": "true" } });
    } catch {
      return; // no line to the server: sending the form says so
    }
    if (answer.headers.has("X-Login")) document.dispatchEvent(new CustomEvent("logged-out"));
    if (!answer.ok || mine !== latest) return;
    const errors = await answer.json();
    for (const id of touched) show(form, id, errors[id] || "");
    if (!Object.keys(errors).length) form.querySelector(".notice-error")?.remove();
  };

  // What was typed while a fragment was on its way goes into it: the person is ahead of the server.
  const ahead = new Map();
  const named = (root, name) => [...root.querySelectorAll(`[name="${CSS.escape(name)}"]`)];
  document.addEventListener("htmx:beforeSwap", ({ detail: { target, requestConfig } }) => {
    const form = target?.closest?.("form[data-check]");
    const sent = requestConfig.formData;
    if (!form || requestConfig.verb !== "get" || !sent.has("timeframe")) return; // it did not ask by what the form says
    const now = new FormData(form);
    for (const { name } of target.querySelectorAll("[name]")) {
      if (String(sent.getAll(name)) !== String(now.getAll(name))) ahead.set(name, now.getAll(name));
    }
  });
  document.addEventListener("htmx:afterSwap", () => {
    const form = document.getElementById("new-backtest");
    const typed = [...ahead];
    ahead.clear();
    for (const [name, values] of form ? typed : []) {
      for (const control of named(form, name)) {
        if (control.type === "checkbox") control.checked = values.includes(control.value);
        else control.value = values[0] ?? "";
      }
      named(form, name)[0]?.dispatchEvent(new Event("change", { bubbles: true }));
    }
  });

  // Going back from a backtest comes to its form as it was sent, instead of to an empty one.
  document.addEventListener("htmx:beforeOnLoad", ({ detail: { elt, xhr } }) => {
    const made = /^\/backtests\/([0-9a-f-]{36})$/.exec(xhr.getResponseHeader("HX-Redirect") || "");
    if (made && elt.id === "new-backtest") history.replaceState(null, "", `/backtests/new?clone=${made[1]}`);
  });

  // A syllable or a digit that an IME is still making is nobody's answer yet: the keys of it ask for nothing.
  document.addEventListener("keyup", (event) => event.isComposing && event.stopPropagation(), true);

  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-check]");
    if (!form || !event.target.name || event.target.name.startsWith("preset")) return;
    touched.add(idOf(event.target.name));
    for (const line of form.querySelectorAll(".field-error")) touched.add(line.id.replace(/-error$/, ""));
    check(form);
  });
})();
