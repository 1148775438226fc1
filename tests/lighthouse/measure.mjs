// node measure.mjs PORT COOKIE ADDRESS...: Lighthouse (desktop) of each address in the Chromium that listens on PORT.
// One line of JSON for each: scores from 0 to 100, what failed, and bytes as they came over the wire.
import lighthouse, { desktopConfig } from "lighthouse";

const [port, cookie, ...addresses] = process.argv.slice(2);
const settings = {
  onlyCategories: ["performance", "accessibility", "best-practices"],
  disableFullPageScreenshot: true,
  extraHeaders: { Cookie: cookie },
};
for (const address of addresses) {
  const { lhr } = await lighthouse(address, { port: Number(port), logLevel: "error", ...settings }, desktopConfig);
  const scores = Object.fromEntries(Object.values(lhr.categories).map(({ id, score }) => [id, Math.round(score * 100)]));
  const failed = Object.values(lhr.audits)
    .filter(({ score, scoreDisplayMode }) => scoreDisplayMode === "binary" && score === 0)
    .map(({ id }) => id);
  const bytes = lhr.audits["total-byte-weight"]?.numericValue ?? null;
  const times = ["first-contentful-paint", "largest-contentful-paint", "total-blocking-time", "cumulative-layout-shift"];
  const values = Object.fromEntries(times.map((id) => [id, lhr.audits[id]?.numericValue ?? null]));
  console.log(JSON.stringify({ address: lhr.finalDisplayedUrl, error: lhr.runtimeError?.code, scores, failed, bytes, ...values }));
}
