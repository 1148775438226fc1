// Draws compared backtests: equity from 100 above, drawdown below, one colour each. Zooming asks for more detail.
(() => {
  "use strict";
  const WAIT = 180; // ms of rest after a zoom before more detail is fetched
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colourOf = (place) => css(`--series-${place + 1}`);

  const load = async (box, range) => {
    const address = new URL(box.dataset.src, location.href);
    address.searchParams.set("v", box.dataset.version);
    if (range) {
      address.searchParams.set("from", Math.floor(range[0]));
      address.searchParams.set("to", Math.ceil(range[1]));
    }
    const answer = await readAgain(address, { box: box.dataset.drawn ? null : box });
    if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail || Words.say("The server answered %(n)s.", { n: answer.status }));
    return answer.json();
  };

  // The last value at or before a time; none outside of the curve.
  const valueAt = (one, column, time) => {
    if (!one.t.length || time < one.t[0] || time > one.t.at(-1)) return null;
    let [low, high] = [0, one.t.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (one.t[middle] <= time) low = middle;
      else high = middle - 1;
    }
    return one[column][low];
  };

  const start = async (box) => {
    const letters = [...box.querySelectorAll("[data-side]")].map((side) => side.dataset.side);
    const [first] = await Promise.all([load(box), chartLibrary(box)]);
    const { createChart, CrosshairMode, LineSeries } = LightweightCharts;
    box.replaceChildren();
    const chart = createChart(box, {
      handleScroll: { vertTouchDrag: false }, // as in charts.js
      autoSize: true,
      crosshair: { mode: CrosshairMode.Normal },
      localization: { locale: Words.lang, dateFormat: Words.lang === "ko" ? "yyyy-MM-dd" : "dd MMM 'yy" },
      timeScale: { timeVisible: true, secondsVisible: false, minBarSpacing: 0.001, rightOffset: 2, lockVisibleTimeRangeOnResize: true },
    });
    box.querySelector("table")?.setAttribute("role", "presentation"); // as in charts.js
    const money = { type: "custom", minMove: 0.01, formatter: (value) => value.toFixed(1) };
    const drops = { type: "custom", minMove: 0.01, formatter: (value) => `${value.toFixed(1)}%` };
    const usual = { priceLineVisible: false, lastValueVisible: letters.length < 5 };
    const lines = first.series.map(() => [
      chart.addSeries(LineSeries, { ...usual, lineWidth: 2, priceFormat: money }),
      chart.addSeries(LineSeries, { ...usual, lineWidth: 1, priceFormat: drops }, 1),
    ]);
    chart.panes()[0].setStretchFactor(300);
    chart.panes()[1].setStretchFactor(110);
    const legend = document.createElement("div");
    legend.className = "chart-legend";
    legend.setAttribute("aria-hidden", "true");
    box.append(legend);

    let current = first;
    const read = (time) => {
      const parts = current.series.map((one, place) => {
        const part = document.createElement("span");
        const swatch = document.createElement("span");
        swatch.className = `swatch series-${place + 1}`;
        const [value, down] = [valueAt(one, "v", time ?? one.t.at(-1)), valueAt(one, "d", time ?? one.t.at(-1))];
        const strong = document.createElement("b");
        strong.textContent = value === null ? "–" : value.toFixed(1);
        part.append(swatch, `${letters[place]} `, strong, down === null ? "" : ` ${down.toFixed(1)}%`);
        return part;
      });
      legend.replaceChildren(...parts);
    };
    const draw = (data) => {
      current = data;
      data.series.forEach((one, place) => {
        lines[place][0].setData(one.t.map((time, index) => ({ time, value: one.v[index] })));
        lines[place][1].setData(one.t.map((time, index) => ({ time, value: one.d[index] })));
      });
      read();
    };
    const paint = () => {
      chart.applyOptions({
        layout: {
          background: { color: "transparent" }, textColor: css("--muted"),
          fontFamily: getComputedStyle(document.body).fontFamily,
          panes: { separatorColor: css("--hairline"), enableResize: false },
        },
        grid: { vertLines: { visible: false }, horzLines: { color: css("--hairline") } },
        rightPriceScale: { borderVisible: false, entireTextOnly: true },
        timeScale: { borderColor: css("--hairline") },
      });
      lines.forEach((pair, place) => pair.forEach((line) => line.applyOptions({ color: colourOf(place) })));
    };
    paint();
    draw(first);
    const times = new Set(first.series.flatMap((one) => one.t)).size;
    const edge = (26 * times) / Math.max(chart.timeScale().width(), 200); // half of the outermost words, as in charts.js
    chart.timeScale().setVisibleLogicalRange({ from: -edge, to: times - 1 + edge });
    chart.subscribeCrosshairMove((event) => read(event.time));
    document.addEventListener("themechange", paint);

    let timer = 0;
    let turn = 0;
    let held = first.range; // what the drawn data covers
    const refine = async () => {
      const view = chart.timeScale().getVisibleRange();
      if (!view || current.series.every((one) => one.bars <= one.t.length) && held === first.range) return;
      const [width, loaded] = [view.to - view.from, held[1] - held[0]];
      const inside = view.from >= held[0] && view.to <= held[1];
      if (inside && width > loaded * 0.35) return;
      const mine = ++turn;
      const wanted = [Math.max(first.range[0], view.from - width / 2), Math.min(first.range[1], view.to + width / 2)];
      const data = await load(box, wanted).catch(() => null); // the coarser picture stays
      if (!data || mine !== turn) return;
      held = wanted;
      draw(data);
      chart.timeScale().setVisibleRange(view);
    };
    chart.timeScale().subscribeVisibleTimeRangeChange(() => {
      clearTimeout(timer);
      timer = setTimeout(refine, WAIT);
    });
    const logo = box.querySelector("#tv-attr-logo");
    if (logo) logo.href = "https://www.tradingview.com/"; // the address it comes with tells which page is open
    box.dataset.drawn = "true";
    onPaper(box, chart);
    return () => {
      clearTimeout(timer);
      document.removeEventListener("themechange", paint);
      chart.remove();
    };
  };

  const live = new Map(); // element -> how to tidy up after it
  const look = () => {
    for (const [box, stop] of live) {
      if (box.isConnected) continue;
      live.delete(box);
      stop();
    }
    for (const box of document.querySelectorAll("[data-compare]")) {
      if (live.has(box)) continue;
      live.set(box, () => {});
      start(box).then((stop) => live.set(box, stop)).catch((error) => {
        const line = document.createElement("p");
        line.className = "chart-note";
        line.textContent = `${Words.say("The chart cannot be drawn.")} ${error.message}`;
        box.replaceChildren(line);
      });
    }
  };
  document.addEventListener("htmx:afterSettle", look);
  look();
})();
