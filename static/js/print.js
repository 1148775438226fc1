// Charts on paper: a picture of each, for the width and in the colours of the paper. The library draws with the next
// frame of the screen, for which printing does not wait; it draws at once only when it is made another size.
(() => {
  "use strict";
  const PAPER = 700; // CSS pixels between the margins of a sheet
  const TALLER = 2; // pixels
  const charts = new Map();
  const printed = new Map(); // chart -> its size of letters on the screen
  window.onPaper = (box, chart) => charts.set(box, chart);

  const picture = (box, chart) => {
    const { clientWidth: width, clientHeight: height } = box;
    const { fontSize } = chart.options().layout;
    chart.applyOptions({ autoSize: false, layout: { fontSize: Math.round(fontSize * Math.max(1, width / PAPER)) } });
    chart.resize(width, height + TALLER, true);
    const drawn = chart.takeScreenshot(true);
    drawn.className = "on-paper";
    drawn.removeAttribute("style");
    box.append(drawn);
    printed.set(chart, fontSize);
  };
  const restore = () => {
    for (const drawn of document.querySelectorAll(".on-paper")) drawn.remove();
    for (const [chart, fontSize] of printed) chart.applyOptions({ autoSize: true, layout: { fontSize } });
    printed.clear();
  };
  addEventListener("beforeprint", () => {
    restore();
    for (const [box, chart] of charts) {
      if (!box.isConnected) charts.delete(box);
      else if (box.clientWidth) picture(box, chart);
    }
  });
  addEventListener("afterprint", restore);
})();
