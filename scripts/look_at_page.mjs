// Opens pages of `gen-deploy report` in a real Chromium and says what is wrong with them: console messages, network requests, axe's serious
// findings, and what keyboard, filters and copying do. Run by .ci/page, which sets it up.
//   node scripts/look_at_page.mjs PAGE.html... [--pictures FOLDER] [--cut SELECTOR PICTURE.png]
// CHROMIUM is the browser, NODE_PATH the folder that holds puppeteer-core and axe-core.
import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(join(process.env.NODE_PATH ?? process.cwd(), "x.js"));
const puppeteer = require("puppeteer-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const words = process.argv.slice(2);
const at = words.indexOf("--pictures");
const pictures = at >= 0 ? words.splice(at, 2)[1] : null;
if (pictures) mkdirSync(pictures, { recursive: true });
const cut = words.indexOf("--cut");
const [, selector, picture] = cut >= 0 ? words.splice(cut, 3) : [];

const SIZES = { desktop: { width: 1280, height: 900 }, phone: { width: 360, height: 740 } };
let wrong = 0;
const say = (page, text) => { wrong += 1; console.log(`${page}: ${text}`); };
const browser = await puppeteer.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox", "--disable-gpu", "--font-render-hinting=none"] });

if (selector) {
  const page = await browser.newPage();
  await page.setViewport({ width: 1000, height: 900 });
  await page.goto(pathToFileURL(resolve(words[0])).href);
  await (await page.$(selector)).screenshot({ path: picture });
  await browser.close();
  process.exit(0);
}
for (const file of words) {
  const name = basename(file, ".html"), url = pathToFileURL(resolve(file)).href;
  for (const [size, viewport] of Object.entries(SIZES)) for (const scheme of ["light", "dark"]) {
    const page = await browser.newPage(), label = `${name} ${size} ${scheme}`;
    page.on("console", message => say(label, `console: ${message.text()}`));
    page.on("pageerror", error => say(label, `error: ${error.message}`));
    page.on("request", request => { if (request.url() !== url && !request.url().startsWith("data:")) say(label, `request: ${request.url()}`); });
    await page.setViewport(viewport);
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    await page.goto(url);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (wide > 0) say(label, `${wide} pixels wider than the window`);
    for (const text of await page.evaluate(overlaps)) say(label, `overlap: ${text}`);
    if (pictures) await page.screenshot({ path: join(pictures, `${name}-${size}-${scheme}.png`), fullPage: true });
    await page.evaluate(() => document.querySelectorAll("details").forEach(one => { one.open = true; }));
    const cdp = await page.createCDPSession(); // the page's policy allows no other script
    await page.setBypassCSP(true);
    await cdp.send("Runtime.evaluate", { expression: axe });
    const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
    for (const one of found.violations.filter(one => ["serious", "critical"].includes(one.impact)))
      say(label, `axe ${one.id} (${one.impact}): ${one.help}: ${one.nodes.slice(0, 3).map(node => node.html.slice(0, 200)).join(" | ")}`);
    await page.close();
  }
  await used(name, url);
}
await browser.close();
console.log(wrong ? `${wrong} wrong` : `${words.length} pages: nothing wrong`);
process.exit(wrong ? 1 : 0);

// Texts of one drawing that are visible and lie over one another.
function overlaps() {
  const found = [];
  for (const plot of document.querySelectorAll("svg.plot")) {
    const texts = [...plot.querySelectorAll("text")].filter(text => text.textContent.trim() && getComputedStyle(text).opacity !== "0" && getComputedStyle(text).display !== "none");
    const boxes = texts.map(text => [text.textContent.trim(), text.getBoundingClientRect()]).filter(([, box]) => box.width);
    boxes.forEach(([one, a], i) => boxes.slice(i + 1).forEach(([other, b]) => {
      if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3) found.push(`${one} / ${other}`);
    }));
  }
  return found.slice(0, 6);
}

// Keyboard, filters, copying and printing, and the page without its script.
async function used(name, url) {
  const page = await browser.newPage();
  await page.setViewport(SIZES.desktop);
  await page.goto(url);
  const check = (fine, text) => { if (!fine) say(name, text); };
  const part = await page.$(".part[tabindex]");
  if (part) {
    const shown = () => page.evaluate(one => getComputedStyle(one.querySelector(".tip")).opacity, part);
    check(await shown() === "0", "a tip shows before it is asked for");
    for (let n = 0; n < 400 && !(await page.evaluate(one => document.activeElement === one, part)); n += 1) await page.keyboard.press("Tab");
    check(await shown() === "1", "a part reached by Tab shows no tip");
    await page.evaluate(() => document.activeElement.blur());
    await (await part.$("rect")).hover();
    check(await shown() === "1", "a part under the mouse shows no tip");
  }
  const steps = await page.$("[data-step]");
  if (steps) {
    await steps.focus();
    await page.keyboard.press("ArrowRight");
    const second = await page.evaluate(box => { const rows = box.closest(".candidates").querySelectorAll("tbody tr"); return rows[1 % rows.length].cells[0].textContent.trim(); }, steps);
    const readout = await page.evaluate(box => box.closest(".candidates").querySelector(".readout").textContent, steps);
    check(readout.startsWith(second), `the arrow key shows ${JSON.stringify(readout)}, not ${second}`);
  }
  const filter = await page.$(".filters button:nth-child(2)");
  if (filter) {
    await filter.focus();
    await page.keyboard.press("Enter");
    const [shown, all] = await page.evaluate(one => { const rows = [...one.closest(".candidates").querySelectorAll("tbody tr")]; return [rows.filter(row => !row.classList.contains("off")).length, rows.length]; }, filter);
    check(shown > 0 && shown < all, `a filter shows ${shown} of ${all}`);
  }
  const file = await page.$("details.file pre[data-file]");
  if (file) {
    await browser.defaultBrowserContext().overridePermissions(new URL(url).origin, ["clipboard-read", "clipboard-write", "clipboard-sanitized-write"]).catch(() => {});
    await page.evaluate(one => { one.closest("details").open = true; window.copied = null; document.addEventListener("copy", () => { window.copied = String(getSelection()); }); }, file);
    await page.bringToFront();
    const button = await page.evaluateHandle(one => one.previousElementSibling, file);
    await button.focus();
    await page.keyboard.press("Enter");
    await page.waitForFunction(one => one.textContent !== "Copy", { timeout: 5000 }, button);
    check(await page.evaluate(one => one.textContent, button) === "Copied", "the copy button failed");
  }
  await page.emulateMediaType("print");
  if (pictures) await page.pdf({ path: join(pictures, `${name}-print.pdf`), format: "A4", printBackground: true, margin: { top: "14mm", bottom: "14mm", left: "14mm", right: "14mm" } });
  await page.close();
  const plain = await browser.newPage();
  await plain.setJavaScriptEnabled(false);
  await plain.goto(url);
  check((await plain.$$("article.spec h2")).length > 0, "without its script the page has no decision");
  await plain.close();
}
