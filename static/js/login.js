// A session that has ended: the page stays as it is, somebody logs in on top of it, and what was pressed is done then.
(() => {
  "use strict";
  const dialog = document.getElementById("login-again");
  const banner = document.getElementById("connection");
  const stalled = new Set(); // fragments that ask once after they were loaded
  let pressed = null; // what could not be done: the element, and the event that it asked for
  let repeated = null; // done once more after the log-in: a second refusal is told, not answered with another log-in
  let out = false;
  let asking = false; // one click may be refused twice, as what it leaves is checked too: the form that is typed into stays

  const follows = (element) => element.matches("[hx-trigger*='every '], [hx-trigger^='load']");
  const ask = () => {
    if (asking) return;
    asking = true;
    const done = () => (asking = false);
    htmx.ajax("GET", dialog.dataset.src, { target: "#again-form", swap: "outerHTML", values: { name: dialog.dataset.name } }).then(done, done);
  };

  // What goes on by itself covers nothing up: a line at the bottom says it, and offers the log-in.
  const tell = () => {
    if (out && banner.querySelector("button")) return;
    out = true;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn btn-sm";
    button.textContent = Words.say("Log in");
    button.addEventListener("click", ask);
    banner.replaceChildren(`${Words.say("You have been logged out.")} `, button);
  };
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
    if (!dialog.open) ask();
  });
  document.addEventListener("htmx:afterRequest", ({ detail: { requestConfig, successful } }) => {
    if (!successful) return;
    if (repeated === requestConfig.elt) repeated = null;
    if (out && !requestConfig.path.startsWith(dialog.dataset.src.split("?")[0])) ask(); // another tab has logged in: its token is needed
  });

  document.addEventListener("htmx:afterSettle", () => {
    if (document.getElementById("again-password") && !dialog.open) dialog.showModal();
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
  document.addEventListener("logged-in", ({ detail: { token, account } }) => {
    if (account !== dialog.dataset.account) {
      location.reload(); // somebody else: nothing here is theirs
      return;
    }
    document.querySelector("meta[name='csrf-token']").content = token;
    for (const field of document.querySelectorAll("input[name='csrf_token']")) field.value = token;
    const again = pressed;
    pressed = null;
    out = false;
    banner.replaceChildren();
    dialog.close();
    document.getElementById("announce").textContent = Words.say("You are logged in again.");
    for (const element of stalled) {
      if (element.isConnected) htmx.ajax("get", element.getAttribute("hx-get"), { source: element, target: element, swap: "outerHTML" });
    }
    stalled.clear();
    if (again) repeat(again);
  });
})();
