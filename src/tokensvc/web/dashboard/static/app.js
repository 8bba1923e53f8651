// tokensvc dashboard: theme, copy, dialogs, a guard on the shown-once page, a summary, charts.
// Every page works without this file, except for charts, and each chart has a table beside it.
"use strict";
const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const say = (text) => { const box = one("#live"); if (box) box.textContent = text; };

// Theme: the server draws it, so that it does not flash; here it changes without a new page.
const root = document.documentElement;
function setTheme(form) {
  const name = new FormData(form).get("theme");
  if (name === "system") delete root.dataset.theme; else root.dataset.theme = name;
  one("meta[name=color-scheme]").content = name === "system" ? "light dark" : name;
  fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
  drawCharts();
}

// Copy: the text of the element that data-copy names.
async function copyFrom(button) {
  const source = one(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.textContent.trim());
    one("span", button).textContent = "Copied";
    say("Copied to the clipboard.");
    setTimeout(() => { one("span", button).textContent = "Copy"; }, 1600);
  } catch {
    getSelection().selectAllChildren(source);
    say("Selected. Press Control and C, or Command and C, to copy.");
  }
}
// A row of choices that is wider than the screen begins at the one that is chosen.
function showChosen() {
  all("nav.seg > [aria-current]").forEach((chosen) => {
    const row = chosen.parentElement;
    const after = chosen.getBoundingClientRect().left - row.getBoundingClientRect().left;
    row.scrollLeft += after - (row.clientWidth - chosen.offsetWidth) / 2;
  });
}
showChosen();
document.addEventListener("htmx:after:swap", showChosen);
// A dialog holds the form of the page that its link leads to, fetched when it is wanted. What the
// server does not give goes the way of the link. Focus returns to the link when it closes.
async function openDialog(opener) {
  const box = one(opener.dataset.opens);
  try {
    const answer = await fetch(opener.href, { headers: { "HX-Request": "true" } });
    if (!answer.ok || answer.redirected) throw new Error(answer.status);
    box.innerHTML = await answer.text();
  } catch { location.assign(opener.href); return; }
  guardFinal(box);
  opener.focus();
  box.showModal();
}
function tickAll(room, on) {
  all("input[type=checkbox]", room).forEach((box) => {
    if (!box.closest("[hidden]")) box.checked = on;
  });
}
document.addEventListener("click", (event) => {
  const copy = event.target.closest("[data-copy]");
  const opener = event.target.closest("[data-opens]");
  const closer = event.target.closest("[data-closes]");
  const tick = event.target.closest("[data-tick]");
  if (copy) copyFrom(copy);
  if (opener && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    openDialog(opener);
  }
  if (closer) { event.preventDefault(); closer.closest("dialog").close(); }
  if (tick) {
    tickAll(tick.closest("fieldset, [data-ticks]"), tick.dataset.tick === "all");
    tick.dispatchEvent(new Event("input", { bubbles: true }));
  }
});
document.addEventListener("change", (event) => {
  if (event.target.name === "theme") setTheme(event.target.form);
  if (event.target.matches("[data-tick-table]")) {
    tickAll(one("tbody", event.target.closest("table")), event.target.checked);
  }
});
// The button stays dead until the typed name is right. Without scripts the server checks the same.
function guardFinal(room) {
  all("[data-must-equal]", room).forEach((box) => {
    const button = one("[data-final]", box.form);
    const judge = () => { button.disabled = box.value.trim() !== box.dataset.mustEqual; };
    box.addEventListener("input", judge);
    judge();
  });
}
guardFinal(document);
// Shown once: leaving before "I have stored it" asks first.
const kept = one("[data-guard]");
if (kept) addEventListener("beforeunload", (event) => kept.checked || event.preventDefault());

// New key: filter of the capabilities, and the summary that follows the form.
const find = one("[data-filters]");
if (find) find.addEventListener("input", () => {
  all("[data-name]").forEach((item) => { item.hidden = !item.dataset.name.includes(find.value); });
});
const form = one("[data-summary]");
function summarise() {
  const data = new FormData(form);
  all("[data-sum]").forEach((place) => {
    const name = place.dataset.sum;
    const values = data.getAll(name).map((value) => {
      const mark = `[value="${CSS.escape(value)}"]`;
      const box = one(`[name="${name}"]${mark}, [name="${name}"] option${mark}`, form);
      return (box && box.dataset.says) || value;
    }).filter(Boolean);
    place.textContent = values.join(place.dataset.joins || ", ") || place.dataset.none;
    place.classList.toggle("unset", !values.length);
  });
}
if (form) { form.addEventListener("input", summarise); summarise(); }

// Charts. uPlot paints on a canvas, so the colour tokens are read from the page at drawing time.
const plots = [];
function colour(token, alpha = 1) {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = `color-mix(in srgb, var(${token}) ${alpha * 100}%, transparent)`;
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}
function clock(seconds, isLong) {
  const iso = new Date(seconds * 1e3);
  const time = iso.toISOString().slice(11, 16);
  const more = isLong ? { month: "short" } : { weekday: "short" };
  const day = { ...more, day: "numeric", timeZone: "UTC" };
  // en-GB alone writes "Sept"; the pages write three letters of every month.
  const date = () => iso.toLocaleDateString("en-GB", day).replace("Sept", "Sep");
  return isLong || time === "00:00" ? date() : time;
}
// Counts are whole, so the steps of an axis are too: 1, 2, 5, 10, 20, ...
const WHOLE = [...Array(12).keys()].flatMap((n) => [1, 2, 5].map((step) => step * 10 ** n));
const short = (n) => (n >= 1e3 ? `${+(n / 1e3).toFixed(1)} k` : String(n));
function drawPanel(box, panel, x, last, group) {
  const [hidden, half] = [{ show: false }, (x[1] - x[0]) / 2];
  // Stacked: each series is drawn on top of the sum of those before it, the tallest first.
  let sum = x.map(() => 0);
  const stacked = panel.series.map((series) => {
    sum = sum.map((v, i) => v + series.values[i]);
    return { ...series, top: sum };
  }).reverse();
  // The last bar is still running, so an area leads to it by a dashed line.
  const end = x.length - 1;
  const cut = (top, keeps) => top.map((v, i) => (keeps(i) ? v : null));
  const drawn = panel.kind === "bars" ? stacked : stacked.flatMap((series) => [
    { ...series, top: cut(series.top, (i) => i < end) },
    { ...series, top: cut(series.top, (i) => i >= end - 1), runs: true },
  ]);
  const font = "11px " + getComputedStyle(document.body).fontFamily;
  const grid = { stroke: colour("--line"), width: 1 };
  const axis = { stroke: colour("--muted"), ticks: hidden, font, grid };
  const paths = uPlot.paths.bars({ size: [0.75, 24], radius: 0.15 });
  const look = (token, runs) => (panel.kind === "bars"
    ? { paths, fill: colour(token), width: 0, points: hidden }
    : { stroke: colour(token), width: 1.75, points: hidden,
      ...(runs ? { dash: [3, 4] } : { fill: colour(token, 0.14) }) });
  const options = {
    width: box.clientWidth, height: panel.height + (last ? 24 : 0), legend: hidden,
    cursor: { y: false, points: hidden, drag: { x: false }, sync: { key: group } },
    tzDate: (ts) => uPlot.tzDate(new Date(ts * 1e3), "Etc/UTC"),
    padding: [10, 16, last ? 0 : 8, 0],
    scales: { x: { range: (_, low, high) => [low - half, high + half] },
      y: { range: (_, low, high) => [0, Math.max(high, 1) * 1.08] } },
    series: [{}, ...drawn.map((series) => look(`--chart-${series.key}`, series.runs))],
    axes: [{ ...axis, show: last, size: 24, grid: hidden, 
      values: (_, at) => at.map((seconds) => clock(seconds, x.at(-1) - x[0] > 864000)) },
      { ...axis, size: 48, values: (_, at) => at.map(short), space: 36, incrs: WHOLE }],
    hooks: { setCursor: [(plot) => readOut(box, panel, plot.cursor.idx)] },
  };
  plots.push(new uPlot(options, [x, ...drawn.map((series) => series.top)], box));
}
function readOut(box, panel, index) {
  panel.series.forEach((series) => {
    const place = one(`[data-value="${series.key}"]`, box.closest("figure"));
    const total = series.values.reduce((a, b) => a + b, 0);
    if (place) place.textContent = (series.values[index] ?? total).toLocaleString("en");
  });
}
function drawCharts() {
  if (typeof uPlot === "undefined") return;
  plots.splice(0).forEach((plot) => plot.destroy());
  all("figure[data-chart]").forEach((figure) => {
    const data = JSON.parse(one("#" + figure.dataset.chart).textContent);
    all(".plot", figure).forEach((box, i, boxes) => {
      drawPanel(box, data.panels[i], data.x, i === boxes.length - 1, figure.dataset.chart);
    });
  });
}
drawCharts();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);
addEventListener("resize", drawCharts);
