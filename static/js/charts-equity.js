// Equity with buy and hold, and the drawdown in a pane below.
(() => {
  "use strict";
  const { say } = Words;
  const { create, fit, fetchData, note, legend, follow, points, theme, colours, faded, compact, price, autoscaleInfoProvider, equityColours, drawdownColours } = Charts;

  Charts.kinds.equity = async (box) => {
    const first = await fetchData(box);
    if (!first.t.length) return note(box, say("This result has no equity curve."));
    box.replaceChildren();
    const chart = create(box);
    const { LineSeries, AreaSeries, BaselineSeries } = LightweightCharts;
    const named = (title) => (box.clientWidth > 500 ? title : ""); // on a phone the legend says it
    const money = { type: "custom", minMove: 1e-9, formatter: compact };
    const drops = { type: "custom", minMove: 0.01, formatter: (value) => `${value.toFixed(1)}%` };
    const held = chart.addSeries(LineSeries, { lineWidth: 1, priceFormat: money, autoscaleInfoProvider, priceLineVisible: false, title: named(say("buy and hold")) });
    const line = chart.addSeries(AreaSeries, { lineWidth: 2, priceFormat: money, autoscaleInfoProvider, priceLineVisible: false, title: named(say("equity")) });
    const down = chart.addSeries(BaselineSeries, { lineWidth: 1, priceFormat: drops, priceLineVisible: false, title: named(say("drawdown")), baseValue: { type: "price", price: 0 } }, 1);
    chart.panes()[0].setStretchFactor(300);
    chart.panes()[1].setStretchFactor(100);
    const show = legend(box);
    let current = first;
    const draw = (data) => {
      current = data;
      draw.complete = data.bars <= data.t.length;
      draw.extent = [data.t[0], data.t.at(-1), data.t.length];
      line.setData(points(data, data.equity));
      held.setData(data.hold ? points(data, data.hold) : []);
      down.setData(points(data, data.drawdown));
      read(data.t.length - 1);
    };
    const read = (index) => {
      const parts = [[say("equity"), price(current.equity[index]), "equity"]];
      if (current.hold) parts.push([say("buy and hold"), price(current.hold[index]), "hold"]);
      parts.push([say("drawdown"), `${current.drawdown[index].toFixed(2)}%`, "drawdown"]);
      show(parts);
    };
    const paint = () => {
      const colour = colours();
      chart.applyOptions(theme());
      line.applyOptions(equityColours(colour));
      held.applyOptions({ color: faded(colour.text, 0.75) });
      down.applyOptions(drawdownColours(colour));
    };
    paint();
    draw(first);
    fit(chart, first);
    chart.subscribeCrosshairMove((event) => {
      const index = event.time === undefined ? current.t.length - 1 : current.t.indexOf(event.time);
      if (index >= 0) read(index);
    });
    const whole = async () => {
      draw(await fetchData(box, null, true));
      fit(chart, current);
    };
    return { chart, paint, whole, stop: follow(box, chart, draw, first.range) };
  };
})();
