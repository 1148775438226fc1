// Whether the session still lives: asked when somebody comes back to a page at rest, and now and then once it is over.
(() => {
  "use strict";
  const FLIPPED = 2_000; // ms: who leafs through tabs asks no more often
  const RESTED = 300_000; // ms without an answer, after which the first key or press asks
  const [FIRST, LAST] = [2_000, 60_000]; // ms between two looks while it is over, longer each time
  const address = document.getElementById("login-again").dataset.look;
  let known = Date.now(); // when the server last said anything
  let pause = 0; // until the next look; 0 while the session lives
  let timer = 0;
  let looking = false;

  const look = async () => {
    if (looking || document.hidden) return;
    looking = true;
    known = Date.now();
    const answer = await fetch(address, { cache: "no-store", credentials: "same-origin" }).catch(() => null);
    looking = false;
    if (!answer?.ok) return; // no line to the server: connection.js tells of that
    const told = answer.headers.get("HX-Trigger");
    document.dispatchEvent(new CustomEvent("session", { detail: told && JSON.parse(told)["logged-in"] }));
  };
  const later = () => {
    timer = setTimeout(async () => {
      await look();
      if (!pause) return;
      pause = Math.min(pause * 2, LAST);
      later();
    }, pause);
  };
  document.addEventListener("session-lost", () => {
    if (pause) return;
    pause = FIRST;
    later();
  });
  document.addEventListener("session-back", () => {
    clearTimeout(timer);
    pause = 0;
  });

  const lookAfter = (rest) => Date.now() - known > rest && look();
  document.addEventListener("visibilitychange", () => lookAfter(FLIPPED));
  addEventListener("focus", () => lookAfter(FLIPPED));
  addEventListener("pageshow", (event) => event.persisted && look());
  for (const act of ["keydown", "pointerdown"]) document.addEventListener(act, () => lookAfter(RESTED), { passive: true });
  document.addEventListener("htmx:afterRequest", ({ detail: { successful } }) => successful && (known = Date.now()));
})();
