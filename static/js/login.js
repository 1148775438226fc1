// A session that has ended: the page stays as it is, somebody logs in on top of it, and what was asked is done then.
(() => {
  "use strict";
  const dialog = document.getElementById("login-again");
  const banner = document.getElementById("connection");
  const token = document.querySelector("meta[name='csrf-token']");
  const stalled = new Set(); // fragments that ask once after they were loaded
  const waiting = new Set(); // what scripts have asked for goes on from here
  let pressed = null; // what could not be done: the element, and the event that it asked for
  let repeated = null; // done once more after the log-in: a second refusal is told, not answered with another log-in
  let out = false;
  const later = new WeakSet(); // requests begun while it was out: an earlier one that succeeds says nothing of a log-in
  let asking = false; // one click may be refused twice, as what it leaves is checked too: the form that is typed into stays

  const follows = (element) => element.matches("[hx-trigger*='every '], [hx-trigger^='load']");
  const ask = () => {
    if (asking || dialog.open) return;
    asking = true;
    const done = () => (asking = false);
    htmx.ajax("GET", dialog.dataset.src, { target: "#again-form", swap: "outerHTML", values: { name: dialog.dataset.name } }).then(done, done);
  };

  // What goes on by itself covers nothing up: a line at the bottom says it, and offers what helps.
  const line = (text, label, act) => {
    if (!out) document.dispatchEvent(new CustomEvent("session-lost"));
    out = true;
    if (banner.querySelector("button") && banner.firstChild.data === `${Words.say(text)} `) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn btn-sm";
    button.textContent = Words.say(label);
    button.addEventListener("click", act);
    banner.replaceChildren(`${Words.say(text)} `, button);
  };
  const tell = () => line("You have been logged out.", "Log in", ask);
  document.addEventListener("logged-out", tell);

  document.addEventListener("htmx:responseError", ({ detail: { elt, xhr, requestConfig } }) => {
    if (!xhr.getResponseHeader("X-Login") || dialog.contains(elt)) return;
    if (follows(elt)) {
      if (elt.matches("[hx-trigger^='load']")) stalled.add(elt);
      tell();
      return;
    }
    if (repeated === elt) {
      repeated = null;
      return;
    }
    if (pressed?.cause?.type !== "submit") pressed = { elt, cause: requestConfig.triggeringEvent };
    ask();
  });
  document.addEventListener("htmx:afterRequest", ({ detail: { requestConfig, successful, xhr } }) => {
    if (!successful) return;
    if (repeated === requestConfig.elt) repeated = null;
    if (out && later.has(xhr) && !requestConfig.path.startsWith(dialog.dataset.src.split("?")[0])) ask(); // another tab has logged in: its token is needed
  });
  // Nothing asks by itself while it would be refused: session.js looks now and then instead of all of them.
  document.addEventListener("htmx:beforeRequest", (event) => {
    const { elt, xhr } = event.detail;
    if (out) later.add(xhr);
    if (!out || !follows(elt)) return;
    if (elt.matches("[hx-trigger^='load']")) stalled.add(elt);
    event.preventDefault();
  });

  document.addEventListener("htmx:afterSettle", ({ target }) => {
    if (dialog.contains(target) && document.getElementById("again-password") && !dialog.open) dialog.showModal();
  });
  dialog.addEventListener("click", (event) => event.target.closest("[data-close-again]") && dialog.close());
  dialog.addEventListener("close", () => {
    const form = document.createElement("div"); // what was typed into it does not stay
    form.id = "again-form";
    dialog.replaceChildren(form);
    if (pressed) tell();
    pressed = null;
  });

  const repeat = ({ elt, cause }) => {
    if (!elt.isConnected || !cause) return;
    repeated = elt;
    if (cause.type === "submit") elt.requestSubmit(cause.submitter);
    else if (cause.type === "click") elt.click();
    else elt.dispatchEvent(new Event(cause.type, { bubbles: true }));
  };
  const renew = (fresh) => {
    token.content = fresh;
    for (const field of document.querySelectorAll("input[name='csrf_token']")) field.value = fresh;
  };
  const goOn = (fresh) => {
    renew(fresh);
    const again = pressed;
    pressed = null;
    out = false;
    banner.replaceChildren();
    dialog.close();
    document.dispatchEvent(new CustomEvent("session-back"));
    document.getElementById("announce").textContent = Words.say("You are logged in again.");
    for (const element of stalled) {
      if (element.isConnected) htmx.ajax("get", element.getAttribute("hx-get"), { source: element, target: element, swap: "outerHTML" });
    }
    stalled.clear();
    for (const resume of waiting) resume();
    waiting.clear();
    if (again) repeat(again);
  };
  document.addEventListener("logged-in", ({ detail }) => {
    if (detail.account === dialog.dataset.account) goOn(detail.token);
    else location.reload(); // somebody else, who has just said so: nothing here is theirs
  });
  // What session.js has found out by itself: nothing that was typed here may be lost by it.
  document.addEventListener("session", ({ detail }) => {
    if (!detail) tell();
    else if (detail.account !== dialog.dataset.account) line("Another account is logged in now.", "Reload", () => location.reload());
    else if (out) goOn(detail.token);
    else renew(detail.token); // another tab may have logged out and in
  });

  // What a script wants to read. Refused because nobody is logged in, it is asked for once more after the log-in.
  window.readAgain = async (address, { box, press } = {}) => {
    const answer = await fetch(address, { credentials: "same-origin" });
    if (answer.status !== 401) return answer;
    if (box) {
      const note = document.createElement("p");
      note.className = "chart-note";
      note.textContent = Words.say("The chart is drawn after the log-in.");
      box.replaceChildren(note);
    }
    tell();
    if (press) ask();
    await new Promise((resolve) => waiting.add(resolve));
    return fetch(address, { credentials: "same-origin" });
  };
})();
