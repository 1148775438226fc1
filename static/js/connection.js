// A lost connection: one sentence that stays, and fragments that go on by themselves once the server is back.
(() => {
  "use strict";
  const LOOK_EVERY = 2000; // milliseconds
  const stalled = new Set(); // fragments that ask once after they were loaded, and were not answered
  let looking = null;
  let told = false;

  const tell = (text) => {
    told = true;
    document.getElementById("connection").textContent = text || Words.say("The server does not answer. This page goes on by itself once it is back.");
  };
  const follows = (element) => element?.matches?.("[hx-trigger*='every '], [hx-trigger^='load']");

  const goOn = () => {
    clearInterval(looking);
    looking = null;
    for (const element of stalled) {
      if (element.isConnected) htmx.ajax("get", element.getAttribute("hx-get"), { source: element, target: element, swap: "outerHTML" });
    }
    stalled.clear();
  };
  const look = () => fetch("/healthz", { cache: "no-store" }).then((answer) => answer.ok && goOn(), () => {});

  const wait = (element) => {
    if (element.matches("[hx-trigger^='load']")) stalled.add(element);
    looking ??= setInterval(look, LOOK_EVERY);
  };
  document.addEventListener("htmx:sendError", ({ detail: { elt } }) => {
    if (!follows(elt)) return; // somebody pressed something: app.js says that it has to be pressed again
    tell("");
    wait(elt);
  });
  // A proxy says so while the server behind it is away; the server itself says what it lacks.
  document.addEventListener("htmx:responseError", ({ detail: { elt, xhr } }) => {
    if (xhr.status < 500 || !follows(elt)) return;
    tell(decodeURIComponent(xhr.getResponseHeader("X-Error") || ""));
    wait(elt);
  });
  document.addEventListener("htmx:afterRequest", ({ detail: { successful } }) => {
    if (!told || !successful) return;
    told = false;
    document.getElementById("connection").textContent = "";
  });
})();
