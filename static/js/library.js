// The library that draws, fetched when the first chart is there: most parts of a result have none.
(() => {
  "use strict";
  let underWay = null;
  const fetched = (address) =>
    new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = address;
      script.addEventListener("load", resolve);
      script.addEventListener("error", () => {
        underWay = null; // the next chart tries again
        script.remove();
        reject(new Error(Words.say("The server does not answer. Trying again helps once it is back.")));
      });
      document.head.append(script);
    });
  window.chartLibrary = async (box) => {
    if (!window.LightweightCharts) await (underWay ??= fetched(box.dataset.library));
  };
})();
