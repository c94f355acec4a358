/**
 * The curves of runs: one grid, one shared cursor, the healthy range shaded behind each curve.
 *
 * Reads what the page holds in #curves-data; on a live run it asks for the points after the last
 * step whenever #run-live says that there is a new one. The table below holds the same numbers.
 */

const uPlot = globalThis.uPlot;
const HEIGHT = 166;
const SYNC = "curves";

/** A token's colour as the canvas understands it; light-dark() has to be worked out first. */
function colour(token) {
  const probe = document.createElement("span");
  probe.style.color = `var(${token})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** Three significant digits, as people read them. */
function figure(value) {
  if (value == null || !Number.isFinite(value)) return "–";
  if (Math.abs(value) >= 10000) return Math.round(value).toLocaleString(document.documentElement.lang);
  if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential(1);
  return String(Number(value.toPrecision(3)));
}

/** Steps of all series together, and each series' values at them. */
function aligned(name, series) {
  const steps = [...new Set(series.flatMap((one) => (one.points[name] ?? []).map((p) => p[0])))];
  steps.sort((a, b) => a - b);
  const place = new Map(steps.map((step, index) => [step, index]));
  const columns = series.map((one) => {
    const column = new Array(steps.length).fill(null);
    for (const [step, value] of one.points[name] ?? []) column[place.get(step)] = value;
    return column;
  });
  return [steps, ...columns];
}

/** Shade the healthy range behind the curve, where the panel has one. */
function shadeHealthy(plot, panel, fill) {
  if (panel.low == null && panel.high == null) return;
  const { left, top, width, height } = plot.bbox;
  const at = (value, otherwise) =>
    value == null ? otherwise : Math.min(Math.max(plot.valToPos(value, "y", true), top), top + height);
  const upper = at(panel.high, top);
  const lower = at(panel.low, top + height);
  plot.ctx.save();
  plot.ctx.fillStyle = fill;
  plot.ctx.fillRect(left, upper, width, Math.max(lower - upper, 0));
  plot.ctx.restore();
}

class Panel {
  constructor(root, panel, data) {
    this.panel = panel;
    this.data = data;
    this.figure = document.createElement("figure");
    this.figure.className = "curve";
    const caption = document.createElement("figcaption");
    const title = document.createElement("b");
    title.textContent = panel.title;
    const unit = document.createElement("span");
    unit.className = "muted small";
    unit.textContent = panel.unit;
    this.readout = document.createElement("span");
    this.readout.className = "curve-now";
    caption.append(title, this.readout, unit);
    this.box = document.createElement("div");
    this.box.className = "curve-box";
    this.box.setAttribute("role", "img");
    this.figure.append(caption, this.box);
    root.append(this.figure);
    this.draw();
    new ResizeObserver(() => this.fit()).observe(this.box);
  }

  options() {
    const ink = colour("--ink-soft");
    const grid = { stroke: colour("--line"), width: 1 };
    const healthy = colour("--healthy");
    const axis = { stroke: ink, grid, ticks: { show: false }, font: "12px system-ui", size: 24 };
    return {
      width: Math.max(this.box.clientWidth, 120),
      height: HEIGHT,
      legend: { show: false },
      cursor: { sync: { key: SYNC }, points: { size: 7 }, drag: { setScale: false, x: false, y: false } },
      scales: { x: { time: false }, y: { range: (_plot, low, high) => this.range(low, high) } },
      axes: [
        { ...axis, space: 60, label: this.data.words.step, labelSize: 16, labelGap: -4, labelFont: axis.font, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000] },
        { ...axis, size: 48, space: 26, values: (_plot, ticks) => ticks.map(figure) },
      ],
      series: [
        {},
        ...this.data.series.map((one, index) => ({
          label: one.label,
          stroke: colour(`--series-${index + 1}`),
          width: 2,
          dash: index === 0 ? undefined : [[6, 3], [2, 3], [8, 3, 2, 3], [4, 4], [1, 3]][index - 1],
          spanGaps: true,
          points: { show: (this.rows[0]?.length ?? 0) < 3 },
        })),
      ],
      hooks: {
        drawClear: [(plot) => shadeHealthy(plot, this.panel, healthy)],
        setCursor: [(plot) => this.read(plot.cursor.idx)],
      },
    };
  }

  /** The curve's own range with some room; a healthy bound is included where it is near. */
  range(low, high) {
    if (low == null || high == null) return [0, 1];
    let [from, to] = low === high ? [low - 0.5, high + 0.5] : [low, high];
    const near = (bound) => bound != null && bound > from - (to - from) && bound < to + (to - from);
    if (near(this.panel.low)) from = Math.min(from, this.panel.low);
    if (near(this.panel.high)) to = Math.max(to, this.panel.high);
    const room = (to - from) * 0.06;
    return [from === 0 ? 0 : from - room, to + room];
  }

  draw() {
    this.plot?.destroy();
    this.rows = aligned(this.panel.name, this.data.series);
    this.plot = new uPlot(this.options(), this.rows, this.box);
    this.read(null);
  }

  refresh() {
    this.rows = aligned(this.panel.name, this.data.series);
    this.plot.setData(this.rows);
    this.read(this.plot.cursor.idx);
  }

  fit() {
    const width = this.box.clientWidth;
    if (width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
  }

  /** Write the values at the cursor, or the last ones, beside the title. */
  read(index) {
    const steps = this.rows[0];
    const at = index ?? steps.length - 1;
    const values = this.rows.slice(1).map((column) => {
      const known = index == null ? column.findLast((value) => value != null) : column[at];
      return figure(known);
    });
    this.readout.replaceChildren(
      ...values.map((value, place) => {
        const span = document.createElement("span");
        span.className = `series-${place + 1}`;
        span.textContent = value;
        return span;
      }),
    );
    const step = steps[at];
    if (step != null) {
      const place = `${this.data.words.step} ${step}`;
      this.readout.dataset.step = index == null ? "" : place;
      this.box.setAttribute("aria-label", `${this.panel.title}, ${place}: ${values.join(", ")}`);
    }
  }
}

class Curves {
  constructor(root, data) {
    this.root = root;
    this.data = data;
    this.more = document.getElementById("more-curves");
    this.panels = new Map();
    this.grow();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      for (const panel of this.panels.values()) panel.draw();
    });
  }

  /** Draw the panels that are not there yet: a live run brings new metrics as it goes. */
  grow() {
    for (const panel of this.data.panels) {
      if (this.panels.has(panel.name)) continue;
      const home = panel.main || !this.more ? this.root : this.more;
      if (home === this.more) this.more.closest("details").hidden = false;
      this.panels.set(panel.name, new Panel(home, panel, this.data));
    }
    const empty = document.getElementById("no-curves");
    if (empty) empty.hidden = this.panels.size > 0;
  }

  lastStep() {
    const lasts = Object.values(this.data.series[0].points).map((rows) => rows.at(-1)?.[0] ?? -1);
    return Math.max(-1, ...lasts);
  }

  async update(step, attempt) {
    const again = this.attempt !== undefined && this.attempt !== attempt;
    this.attempt = attempt;
    if (this.busy || (!again && step <= this.lastStep())) return;
    this.busy = true;
    try {
      const after = again ? "" : `?after=${this.lastStep()}`;
      const response = await fetch(this.data.url + after, { headers: { Accept: "application/json" } });
      if (!response.ok) return;
      const fresh = await response.json();
      this.take(fresh, again);
    } catch {
      // The next poll asks again; the page itself says that the connection is gone.
    } finally {
      this.busy = false;
    }
  }

  take(fresh, again) {
    const points = this.data.series[0].points;
    for (const [name, rows] of Object.entries(fresh.points)) {
      points[name] = again ? rows : [...(points[name] ?? []), ...rows];
    }
    const known = new Set(this.data.panels.map((panel) => panel.name));
    this.data.panels.push(...fresh.panels.filter((panel) => !known.has(panel.name)));
    this.grow();
    for (const panel of this.panels.values()) panel.refresh();
  }
}

/** Follow #run-live, which htmx replaces: its data-step and data-attempt say what is new. */
function follow(curves) {
  const look = () => {
    const live = document.getElementById("run-live");
    if (live) curves.update(Number(live.dataset.step), live.dataset.attempt);
  };
  look();
  document.addEventListener("htmx:after:swap", look);
}

const root = document.getElementById("curves");
const source = document.getElementById("curves-data");
if (root && source && uPlot) {
  const curves = new Curves(root, JSON.parse(source.textContent));
  if (curves.data.url) follow(curves);
}
