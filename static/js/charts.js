// Draws the elements marked with data-chart. The server cuts and samples; zooming asks it for more detail.
// Kinds of charts register themselves in Charts.kinds: candles here, equity in charts-equity.js.
(() => {
  "use strict";
  const { say, lang } = Words;
  const WAIT = 180; // ms of rest after a zoom before more detail is fetched
  const live = new Map(); // element -> how to tidy up after it

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const faded = (hex, alpha) => `${hex}${Math.round(alpha * 255).toString(16).padStart(2, "0")}`;
  // Korean counts in ten thousands.
  const UNITS = lang === "ko" ? [[1e12, 1e12, "조"], [1e8, 1e8, "억"], [1e5, 1e4, "만"]] : [[1e12, 1e12, "T"], [1e9, 1e9, "B"], [1e6, 1e6, "M"]];
  const compact = (value) => {
    const size = Math.abs(value);
    for (const [from, unit, letter] of UNITS) {
      if (size >= from) return (value / unit).toLocaleString("en", { minimumFractionDigits: size / unit < 1000 ? 2 : 0, maximumFractionDigits: size / unit < 1000 ? 2 : 0 }) + letter;
    }
    return value.toLocaleString("en", size >= 1 ? { maximumFractionDigits: size >= 1e5 ? 0 : 2 } : { maximumSignificantDigits: 4 });
  };
  const price = (value) =>
    value.toLocaleString("en", { maximumFractionDigits: Math.abs(value) >= 1e5 ? 0 : Math.abs(value) >= 100 ? 2 : 6 });
  const plain = (value) => value.toLocaleString("en", { maximumSignificantDigits: 4 });
  const signed = (value) => `${value > 0 ? "+" : ""}${value.toFixed(2)}%`;

  const colours = () => ({
    text: css("--muted"),
    line: css("--hairline"),
    accent: css("--accent"),
    gain: css("--gain"),
    loss: css("--loss"),
  });
  const theme = () => {
    const colour = colours();
    return {
      layout: {
        background: { color: "transparent" },
        textColor: colour.text,
        fontFamily: getComputedStyle(document.body).fontFamily,
        panes: { separatorColor: colour.line, enableResize: false },
      },
      grid: { vertLines: { visible: false }, horzLines: { color: faded(colour.line, 0.6) } },
      rightPriceScale: { borderVisible: false, entireTextOnly: true },
      timeScale: { borderColor: colour.line },
    };
  };
  const words = (time, options) => new Date(time * 1000).toLocaleString(lang === "en" ? "en-US" : lang, { timeZone: "UTC", hourCycle: "h23", ...options });
  // Sampled points are not evenly spaced: over weeks, a time of day on the axis would say nothing.
  const tick = (chart) => (time, type) => {
    const { TickMarkType } = LightweightCharts;
    if (type === TickMarkType.Year) return words(time, { year: "numeric" });
    if (type === TickMarkType.Month) return words(time, { month: "short" });
    const view = chart().timeScale().getVisibleRange();
    const days = view ? (view.to - view.from) / 86400 : 0;
    if (type === TickMarkType.DayOfMonth || days > 8) return lang === "en" ? `${words(time, { day: "numeric" })} ${words(time, { month: "short" })}` : words(time, { month: "short", day: "numeric" });
    return words(time, { hour: "2-digit", minute: "2-digit" });
  };
  const create = (box) => {
    const chart = LightweightCharts.createChart(box, {
      autoSize: true,
      handleScroll: { vertTouchDrag: false }, // a finger that goes up or down scrolls the page
      ...theme(),
      timeScale: {
        ...theme().timeScale, timeVisible: true, secondsVisible: false, minBarSpacing: 0.05, rightOffset: 2,
        lockVisibleTimeRangeOnResize: true, // a turned phone shows the same days
        tickMarkFormatter: tick(() => chart),
      },
      crosshair: { mode: LightweightCharts.CrosshairMode.Normal },
      localization: { locale: lang, dateFormat: lang === "ko" ? "yyyy-MM-dd" : "dd MMM 'yy" },
    });
    box.querySelector("table")?.setAttribute("role", "presentation"); // the library's grid of panes and scales, no data
    return chart;
  };

  // Everything that is loaded, with room at both ends for half of the outermost words of the axis.
  const fit = (chart, { t }) => {
    const edge = (26 * t.length) / Math.max(chart.timeScale().width(), 200);
    chart.timeScale().setVisibleLogicalRange({ from: -edge, to: t.length - 1 + edge });
  };

  const fetchData = async (box, range, press = false) => {
    const address = new URL(box.dataset.src, location.href);
    address.searchParams.set("v", box.dataset.version);
    if (range) {
      address.searchParams.set("from", Math.floor(range[0]));
      address.searchParams.set("to", Math.ceil(range[1]));
    }
    const answer = await readAgain(address, { box: live.get(box)?.chart ? null : box, press });
    if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail || say("The server answered %(n)s.", { n: answer.status }));
    return answer.json();
  };

  const note = (box, text) => {
    const line = document.createElement("p");
    line.className = "chart-note";
    line.textContent = text;
    box.replaceChildren(line);
  };
  const legend = (box) => {
    const line = document.createElement("div");
    line.className = "chart-legend";
    line.setAttribute("aria-hidden", "true");
    box.append(line);
    return (parts) =>
      line.replaceChildren(
        ...parts.map(([name, value, key]) => {
          const part = document.createElement("span");
          if (key) part.className = `key key-${key}`;
          const strong = document.createElement("b");
          strong.textContent = value;
          part.append(`${name} `, strong);
          return part;
        }),
      );
  };

  // Fetches again when the view leaves what is loaded, or shows so little of it that bars are worth having.
  const follow = (box, chart, draw, whole) => {
    let timer = 0;
    let turn = 0;
    const scale = chart.timeScale();
    const load = async () => {
      const logical = scale.getVisibleLogicalRange();
      const [start, end, count] = draw.extent;
      if (!logical || count < 2) return;
      const step = (end - start) / (count - 1);
      const view = [start + logical.from * step, start + logical.to * step];
      const left = logical.from < -1 && start - whole[0] > step; // less than a point would change nothing
      const right = logical.to > count && whole[1] - end > step;
      const finer = !draw.complete && logical.to - logical.from < count * 0.4;
      if (!left && !right && !finer) return;
      const margin = (view[1] - view[0]) * 0.75;
      const mine = ++turn;
      const data = await fetchData(box, [Math.max(whole[0], view[0] - margin), Math.min(whole[1], view[1] + margin)])
        .catch(() => null); // the coarser picture stays
      if (!data || mine !== turn || !live.has(box) || !data.t.length) return;
      const shown = scale.getVisibleRange();
      draw(data);
      scale.setVisibleRange({
        from: Math.max(left ? view[0] : shown.from, data.t[0]),
        to: Math.min(right ? view[1] : shown.to, data.t.at(-1)),
      });
    };
    scale.subscribeVisibleLogicalRangeChange(() => {
      clearTimeout(timer);
      timer = setTimeout(load, WAIT);
    });
    return () => clearTimeout(timer);
  };

  const points = (data, column) => data.t.map((time, index) => (column[index] === null ? { time } : { time, value: column[index] }));
  const equityColours = (colour) => ({ lineColor: colour.accent, topColor: faded(colour.accent, 0.1), bottomColor: faded(colour.accent, 0) });
  // A curve that never moves would get an axis with one number on every line.
  const autoscaleInfoProvider = (usual) => {
    const info = usual();
    const { minValue, maxValue } = info?.priceRange ?? {};
    if (minValue !== undefined && maxValue - minValue <= Math.abs(maxValue) * 1e-6) {
      const room = Math.abs(maxValue) * 0.01 || 1;
      info.priceRange = { minValue: minValue - room, maxValue: maxValue + room };
    }
    return info;
  };
  const drawdownColours = (colour) => ({
    bottomLineColor: colour.loss, bottomFillColor1: faded(colour.loss, 0.08), bottomFillColor2: faded(colour.loss, 0.3),
    topLineColor: colour.loss, topFillColor1: "transparent", topFillColor2: "transparent",
  });

  const markers = (data, colour, width) => {
    const share = data.marks.length > width / 8 ? 0.45 : 1;
    return data.marks.map(([time, kind, side, at]) => ({
      time,
      position: side === "buy" ? "belowBar" : "aboveBar",
      shape: kind === "entry" ? (side === "buy" ? "arrowUp" : "arrowDown") : "circle",
      color: side === "buy" ? colour.gain : colour.loss,
      size: share * (kind === "entry" ? 1.4 : 0.8),
      text: data.marks.length <= 16 ? `${say(kind)} ${price(at)}` : "",
    }));
  };

  // Lines of the strategy, and what they belong to: among the candles, the volume, or in a pane of their own.
  const LINE_COLOURS = [1, 2, 3, 4, 5, 6].map((number) => `--line-${number}`);
  const addLines = (chart, lines, panes) => {
    let bright = 0;
    return lines.map((line) => ({
      ...line,
      colour: line.faint ? "--muted" : LINE_COLOURS[bright++ % LINE_COLOURS.length],
      series: chart.addSeries(LightweightCharts.LineSeries, {
        priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false,
        lineStyle: line.faint ? LightweightCharts.LineStyle.Dashed : LightweightCharts.LineStyle.Solid,
        priceFormat: { type: "custom", minMove: 1e-9, formatter: line.pane === "below" ? plain : price },
      }, panes[line.pane]),
    }));
  };
  const addAccount = (chart, pane) => {
    const { AreaSeries, BaselineSeries } = LightweightCharts;
    const drops = { type: "custom", minMove: 0.01, formatter: (value) => `${value.toFixed(1)}%` };
    return {
      equity: chart.addSeries(AreaSeries, { lineWidth: 1.5, priceLineVisible: false, autoscaleInfoProvider, priceFormat: { type: "custom", minMove: 1e-9, formatter: compact } }, pane),
      drawdown: chart.addSeries(BaselineSeries, { lineWidth: 1, priceLineVisible: false, priceFormat: drops, baseValue: { type: "price", price: 0 } }, pane + 1),
    };
  };

  const candles = async (box) => {
    const { at, until } = box.dataset;
    const around = (trade) => Math.max((trade[1] - trade[0]) * 1.5, 30 * Number(box.dataset.bar)); // a trade of one bar needs company
    const near = (trade, press) => fetchData(box, [trade[0] - around(trade) * 4, trade[1] + around(trade) * 4], press);
    let trade = at ? [Number(at), Number(until)] : null;
    const first = trade ? await near(trade) : await fetchData(box);
    box.replaceChildren();
    const chart = create(box);
    const { CandlestickSeries, HistogramSeries, createSeriesMarkers } = LightweightCharts;
    const series = chart.addSeries(CandlestickSeries, { priceLineVisible: false, borderVisible: false, priceFormat: { type: "custom", minMove: 1e-9, formatter: price } });
    const volume = chart.addSeries(HistogramSeries, { priceFormat: lang === "en" ? { type: "volume" } : { type: "custom", minMove: 1e-9, formatter: compact }, lastValueVisible: false, priceLineVisible: false }, 1);
    const below = (first.lines || []).some((line) => line.pane === "below");
    const lines = addLines(chart, first.lines || [], { price: 0, volume: 1, below: 2 });
    const account = first.equity?.length ? addAccount(chart, below ? 3 : 2) : null;
    const heights = [380, 70, ...(below ? [110] : []), ...(account ? [110, 70] : [])];
    chart.panes().forEach((pane, index) => pane.setStretchFactor(heights[index]));
    const fills = createSeriesMarkers(series, []);
    const show = legend(box);
    let current = first;
    const crowded = () => current.marks.length > box.clientWidth / 2; // one every other pixel hides what it marks
    const draw = (data) => {
      current = data;
      draw.complete = data.complete;
      draw.extent = [data.t[0], data.t.at(-1), data.t.length];
      const colour = colours();
      series.setData(data.t.map((time, i) => ({ time, open: data.o[i], high: data.h[i], low: data.l[i], close: data.c[i] })));
      volume.setData(data.t.map((time, i) => ({ time, value: data.v[i], color: faded(data.c[i] < data.o[i] ? colour.loss : colour.gain, 0.45) })));
      lines.forEach((line, index) => {
        line.series.setData(points(data, data.lines[index].v));
        line.series.applyOptions({ lineWidth: data.complete && !line.faint ? 2 : 1 }); // thin among joined candles
      });
      if (account) for (const name of ["equity", "drawdown"]) account[name].setData(points(data, data[name]));
      fills.setMarkers(crowded() ? [] : markers(data, colour, box.clientWidth));
      read(data.t.length - 1);
    };
    const read = (i) => {
      const change = (current.c[i] / current.o[i] - 1) * 100;
      const parts = [[say("O"), price(current.o[i])], [say("H"), price(current.h[i])], [say("L"), price(current.l[i])], [say("C"), price(current.c[i])], ["", signed(change)], [say("volume"), compact(current.v[i])]];
      lines.forEach((line, index) => {
        const value = current.lines[index].v[i];
        if (value !== null) parts.push([line.own ? line.label : say(line.label), line.pane === "below" ? plain(value) : price(value), line.colour.slice(2)]);
      });
      if (account && current.equity[i] !== null) parts.push([say("equity"), compact(current.equity[i]), "equity"], [say("drawdown"), `${current.drawdown[i].toFixed(2)}%`, "drawdown"]);
      const unseen = current.hidden || (crowded() ? current.marks.length : 0);
      if (unseen) parts.push([say("%(n)s fills:", { n: unseen.toLocaleString("en") }), say("zoom in to see them")]);
      show(parts);
    };
    const paint = () => {
      const colour = colours();
      chart.applyOptions(theme());
      series.applyOptions({ upColor: colour.gain, downColor: colour.loss, wickUpColor: colour.gain, wickDownColor: colour.loss });
      for (const line of lines) line.series.applyOptions({ color: css(line.colour) });
      account?.equity.applyOptions(equityColours(colour));
      account?.drawdown.applyOptions(drawdownColours(colour));
      draw(current);
    };
    const view = () => {
      const pad = around(trade);
      chart.timeScale().setVisibleRange({ from: Math.max(current.t[0], trade[0] - pad), to: Math.min(current.t.at(-1), trade[1] + pad) });
    };
    const go = async (from, to) => {
      trade = [from, to];
      draw(await near(trade, true));
      view();
    };
    // The trade after the one shown last, or before it; without one, after the left edge of the view.
    const step = async (way) => {
      const range = chart.timeScale().getVisibleRange();
      const address = new URL(box.dataset.src.replace("candles.json", "trade.json"), location.href);
      address.searchParams.set(way, trade ? trade[0] : Math.floor(way === "after" ? range.from - 1 : range.to));
      const answer = await readAgain(address, { press: true });
      if (answer.status === 200) await answer.json().then((found) => go(found.at, found.until));
    };
    paint();
    if (trade) view();
    else fit(chart, current);
    chart.subscribeCrosshairMove((event) => {
      const index = event.time === undefined ? current.t.length - 1 : current.t.indexOf(event.time);
      if (index >= 0) read(index);
    });
    const whole = async () => {
      trade = null;
      draw(await fetchData(box, null, true));
      fit(chart, current);
    };
    return { chart, paint, go, step, whole, stop: follow(box, chart, draw, first.range) };
  };

  const kinds = { candles };
  const start = async (box) => {
    live.set(box, { stop() {} });
    try {
      await chartLibrary(box);
      const made = await kinds[box.dataset.chart](box);
      if (!made) return;
      const logo = box.querySelector("#tv-attr-logo");
      if (logo) logo.href = "https://www.tradingview.com/"; // the address it comes with tells which page is open
      onPaper(box, made.chart);
      live.set(box, { ...made, stop: () => (made.stop(), made.chart.remove()) });
      box.dataset.drawn = "true";
    } catch (error) {
      note(box, `${say("The chart cannot be drawn.")} ${error.message}`);
    }
  };
  const look = () => {
    for (const [box, made] of live) {
      if (box.isConnected) continue;
      live.delete(box);
      made.stop();
    }
    for (const box of document.querySelectorAll("[data-chart]")) if (!live.has(box)) start(box);
  };
  document.addEventListener("themechange", () => live.forEach((made) => made.paint?.()));
  document.addEventListener("htmx:afterSettle", look);
  document.addEventListener("DOMContentLoaded", look); // by then every kind has registered itself
  window.Charts = { kinds, live, create, fit, fetchData, note, legend, follow, points, theme, colours, css, faded, compact, price, autoscaleInfoProvider, equityColours, drawdownColours };
})();
