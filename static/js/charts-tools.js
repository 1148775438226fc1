// What can be done to a chart besides zooming: keys, buttons, going to a trade, saving a picture.
(() => {
  "use strict";
  const made = (box) => (box ? Charts.live.get(box) : null);

  const move = (chart, share) => {
    const scale = chart.timeScale();
    const range = scale.getVisibleLogicalRange();
    const by = (range.to - range.from) * share;
    scale.setVisibleLogicalRange({ from: range.from + by, to: range.to + by });
  };
  const zoom = (chart, factor) => {
    const scale = chart.timeScale();
    const range = scale.getVisibleLogicalRange();
    const middle = (range.from + range.to) / 2;
    const half = Math.max(((range.to - range.from) / 2) * factor, 3);
    scale.setVisibleLogicalRange({ from: middle - half, to: middle + half });
  };

  // The library draws on a transparent ground; a picture gets the ground and the name of its chart.
  const picture = (box, chart) => {
    const drawn = chart.takeScreenshot(true);
    const ratio = drawn.width / box.clientWidth;
    const head = 34 * ratio;
    const canvas = Object.assign(document.createElement("canvas"), { width: drawn.width, height: drawn.height + head });
    const pen = canvas.getContext("2d");
    pen.fillStyle = Charts.css("--tblr-bg-surface") || "#ffffff";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.fillStyle = getComputedStyle(document.body).color;
    pen.font = `600 ${13 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
    pen.fillText(box.dataset.name, 12 * ratio, 22 * ratio);
    pen.drawImage(drawn, 0, head);
    canvas.toBlob((blob) => {
      const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: `${box.dataset.name.replace(/[^\w-]+/g, "-")}.png` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    }, "image/png");
  };

  const act = (box, what) => {
    const one = made(box);
    if (!one?.chart) return false;
    const does = {
      left: () => move(one.chart, -0.15),
      right: () => move(one.chart, 0.15),
      in: () => zoom(one.chart, 0.6),
      out: () => zoom(one.chart, 1.6),
      whole: () => one.whole?.(),
      next: () => box.dataset.symbol && one.step?.("after"),
      previous: () => box.dataset.symbol && one.step?.("before"),
      png: () => picture(box, one.chart),
    }[what];
    does?.();
    return Boolean(does);
  };
  const KEYS = { ArrowLeft: "left", ArrowRight: "right", "+": "in", "=": "in", "-": "out", 0: "whole", n: "next", p: "previous" };

  document.addEventListener("keydown", (event) => {
    const box = event.target.closest?.("[data-chart]");
    if (!box || event.ctrlKey || event.metaKey || event.altKey) return;
    if (KEYS[event.key] && act(box, KEYS[event.key])) event.preventDefault();
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-chart-do]");
    if (button) act(document.getElementById(button.dataset.chartFor), button.dataset.chartDo);
    const trade = event.target.closest?.("[data-go]");
    const box = document.getElementById("candles-chart");
    if (!trade || box?.dataset.symbol !== trade.dataset.go || event.ctrlKey || event.metaKey || !made(box)?.go) return;
    event.preventDefault();
    history.replaceState(history.state, "", trade.href);
    made(box).go(Number(trade.dataset.at), Number(trade.dataset.until));
    box.scrollIntoView({ block: "nearest" });
    box.focus({ preventScroll: true });
  });

  // A dot leads to its trade; by keyboard the table of trades does.
  document.addEventListener("click", (event) => {
    const target = event.target.closest?.("[data-href]")?.dataset.href;
    if (target) location.assign(target);
  });

  // An address names only what was chosen.
  document.addEventListener("htmx:configRequest", (event) => {
    if (!event.target.matches?.(".trade-filters")) return;
    const { parameters } = event.detail;
    for (const name of Object.keys(parameters)) if (parameters[name] === "") delete parameters[name];
  });
})();
