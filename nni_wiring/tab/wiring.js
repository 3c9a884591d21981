// The tab WIRING of TensorBoard: one plain ES module, no library, no build step.
//
// draw(root, data) shows runs in any page and returns {update(data), show(epoch)}.
// render() is called by TensorBoard: it draws into the frame and asks for news every few seconds.
//
// data: {runs: [{name, info, epochs, explanation}]}, `epochs` by rising number. info, epochs and
// explanation are the objects that nni_wiring/monitor/tab.py writes; info and explanation may be
// null. All text of a run enters the page as text, never as markup: runs may be foreign.

const SVG = "http://www.w3.org/2000/svg";
const POLL = 4000; // ms
const STEP = 250; // ms an epoch while playing
const WIDTH = 420; // of a card's pictures
const REACH = 15; // percent points below the best choice that are told apart
const RUN_COLOURS = [
  "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f3c8d", "#8c564b",
  "#9c9c00", "#4c9be8",
];
const DASHES = ["", "6 3", "2 2"];
const LINES = { alpha: "alpha", z: "Z = p(alpha)", cost: "local cost dL/dZ" };
const STYLE = `
.wiring { --paper: #fff; --ink: #222; --muted: #767676; --grid: #e4e4e4; --card: #fafafa;
  --grow: 0, 114, 178; --shrink: 213, 94, 0; --optimum: #00805e;
  box-sizing: border-box; min-height: 100vh; padding: 0 12px 12px; color: var(--ink);
  background: var(--paper); font: 13px/1.4 system-ui, sans-serif; outline: none; }
.wiring.dark { --paper: #1e1e1e; --ink: #e6e6e6; --muted: #a0a0a0; --grid: #3c3c3c; --card: #272727;
  --grow: 86, 180, 233; --shrink: 240, 130, 50; --optimum: #2fc79b; }
.wiring .bar { position: sticky; top: 0; z-index: 2; display: flex; flex-wrap: wrap; gap: 6px 14px;
  align-items: center; padding: 8px 0; background: var(--paper); border-bottom: 1px solid var(--grid); }
.wiring .bar input { flex: 1; min-width: 180px; accent-color: var(--ink); }
.wiring button, .wiring select { color: inherit; background: var(--card); font: inherit;
  border: 1px solid var(--grid); border-radius: 4px; padding: 2px 8px; }
.wiring .now { min-width: 9em; font-variant-numeric: tabular-nums; }
.wiring .hint, .wiring .muted { color: var(--muted); }
.wiring .legend { display: flex; flex-wrap: wrap; gap: 2px 12px; padding: 6px 0; }
.wiring .legend i, .wiring h2 i { display: inline-block; width: 11px; height: 11px; margin-right: 5px;
  border-radius: 2px; }
.wiring .row { display: flex; flex-wrap: wrap; gap: 12px; align-items: flex-start; }
.wiring .card { box-sizing: content-box; width: ${WIDTH}px; padding: 8px 10px; background: var(--card);
  border: 1px solid var(--grid); border-radius: 6px; content-visibility: auto;
  contain-intrinsic-size: ${WIDTH}px 900px; }
.wiring h2 { margin: 0; font-size: 14px; overflow-wrap: anywhere; }
.wiring h3 { margin: 10px 0 2px; font-size: 12px; font-weight: 600; }
.wiring p { margin: 2px 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.wiring svg { display: block; overflow: visible; }
.wiring .small { display: flex; flex-wrap: wrap; gap: 6px; }
.wiring svg { font: 10px system-ui, sans-serif; }
.wiring text { fill: var(--ink); font-variant-numeric: tabular-nums; }
.wiring text.muted { fill: var(--muted); }
.wiring .cell text { paint-order: stroke; stroke: var(--card); stroke-width: 3px; }
.wiring .axis { stroke: var(--grid); } .wiring .cursor { stroke: var(--muted); }
.wiring .line { fill: none; stroke-width: 1.5; } .wiring .node { fill: var(--paper); stroke: var(--ink); }
.wiring .frame { fill: none; stroke: var(--ink); stroke-width: 2; }
.wiring .hit { fill: transparent; stroke: transparent; } .wiring path.hit { fill: none; }
.wiring .edge { fill: none; stroke-linecap: round; }
.wiring.linked [data-edge] { opacity: .35; } .wiring.linked [data-edge].lit { opacity: 1; }
.wiring.linked-run [data-run] { opacity: .25; } .wiring.linked-run [data-run].lit { opacity: 1; }
.wiring .tip { position: fixed; z-index: 3; max-width: 440px; padding: 4px 8px; white-space: pre-wrap;
  pointer-events: none; background: var(--ink); color: var(--paper); border-radius: 4px; }
`;

// --- elements ---

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const html = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);
const label = (x, y, content, attributes) => svg("text", { x, y, ...attributes }, String(content));
const swatch = (colour) => {
  const mark = html("i");
  mark.style.background = colour;
  return mark;
};

const tips = new WeakMap();
// A text, or a function that makes it, shown while the pointer is over the node.
function tipped(node, tip) {
  tips.set(node, tip);
  node.setAttribute("data-tip", "");
  return node;
}

// --- data ---

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const object = (value) => (isObject(value) ? value : {});
const objects = (value) => (Array.isArray(value) ? value.filter(isObject) : []);
const mapped = (value, change) => Object.fromEntries(rows(value).map(([name, one]) => [name, change(one)]));
const table = (value) => mapped(value, object);
const text = (value) => (typeof value === "string" || typeof value === "number" ? String(value) : null);

// A run in the shape that everything below relies on; what is foreign to it is left out.
function tamed({ name, info, epochs, explanation }) {
  const whole = Array.isArray(epochs) ? epochs.filter((one) => isObject(one) && Number.isInteger(one.epoch)) : [];
  return {
    name: String(name),
    info: isObject(info) ? tamedInfo(info) : null,
    epochs: whole.map(tamedEpoch),
    explanation: isObject(explanation) ? { edges: objects(explanation.edges) } : null,
  };
}

function tamedInfo(info) {
  const splits = mapped(object(info.truth).splits, (split) => ({
    references: objects(object(split).references),
    histogram: object(object(split).histogram),
    cells: object(split).cells,
  }));
  const truth = isObject(info.truth) ? { ...info.truth, splits } : null;
  const edges = Array.isArray(info.edges) ? info.edges.filter((edge) => typeof edge === "string") : null;
  const named = { run_id: text(info.run_id), data: text(info.data), settings: mapped(info.settings, text) };
  return { ...named, strategy: text(info.strategy), seed: text(info.seed), edges, operations: table(info.operations), truth };
}

function tamedEpoch(one) {
  const reason = (edge) => ({ ...object(edge), choices: object(object(edge).choices) });
  return {
    epoch: one.epoch,
    chosen: Object.fromEntries(rows(one.chosen).filter(([, name]) => typeof name === "string")),
    alpha: table(one.alpha),
    z: table(one.z),
    cost: table(one.cost),
    cost_phase: text(one.cost_phase),
    truth: table(one.truth),
    loss: object(one.loss),
    why: isObject(one.why) ? { edges: mapped(one.why.edges, reason), repairs: objects(one.why.repairs) } : null,
    selections: mapped(one.selections, object),
  };
}

// --- values ---

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const rows = (value) => (isObject(value) ? Object.entries(value) : []);
const fixed = (value, digits = 2) => (isNumber(value) ? value.toFixed(digits) : "unknown");
const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);
const brief = (value) => (isNumber(value) ? String(Number(value.toPrecision(3))) : "not run");
const superscript = (n) => String(n).replace(/./g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);

function extent(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (!isNumber(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return [0, 1];
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

const scale = ([low, high], from, to) => (value) =>
  from + ((value - low) / (high - low || 1)) * (to - from);

function ticks([low, high], count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high + step * 1e-9; k++) found.push(k * step);
  return found.map((value) => Number(value.toPrecision(10)));
}

function largest(row) {
  let best = null;
  for (const [name, value] of rows(row)) {
    if (isNumber(value) && (best === null || value > row[best])) best = name;
  }
  return best;
}

// The epoch of a run that stands at the slider: the last one up to it; null before the first.
function at(run, epoch) {
  let low = 0, high = run.epochs.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (run.epochs[middle].epoch <= epoch) low = middle + 1;
    else high = middle;
  }
  return low ? run.epochs[low - 1] : null;
}

const edgesOf = (run) => {
  const first = run.epochs[0];
  return (run.info && run.info.edges) || (first ? rows(first.alpha).map(([edge]) => edge) : []);
};
const operationsOf = (run) => {
  const names = new Set(rows(run.info && run.info.operations).map(([name]) => name));
  if (run.epochs[0]) rows(run.epochs[0].alpha).forEach(([, row]) => rows(row).forEach(([n]) => names.add(n)));
  return [...names];
};
const nameOf = (run) => {
  const info = run.info || {};
  if (!info.strategy) return run.name;
  return info.seed === null ? info.strategy : `${info.strategy} seed ${info.seed}`;
};
// Settings in which runs of one name differ, told beside it; at most three.
function differences(run, all) {
  const settings = (one) => (one.info && one.info.settings) || {};
  const same = all.filter((one) => nameOf(one) === nameOf(run));
  const names = Object.keys(settings(run)).filter((name) =>
    same.some((one) => name in settings(one) && settings(one)[name] !== settings(run)[name]));
  return names.slice(0, 3).map((name) => `, ${name} ${settings(run)[name]}`).join("");
}
const settingOf = (run, name) => (run.info && run.info[name]) ?? "unknown";
// Room for the names of edges.
const leftOf = (run) => Math.max(42, 10 + 6 * Math.max(0, ...edgesOf(run).map((edge) => edge.length)));
const kindOf = (edge) => (edge.includes("/") ? edge.slice(0, edge.lastIndexOf("/")) : "");
const endsOf = (edge) => {
  const found = /(?:^|\/)(\d+)-(\d+)$/.exec(edge);
  return found ? [Number(found[1]), Number(found[2])] : null;
};
const lookOf = (run, operation) => {
  const look = (run.info && run.info.operations[operation]) || {};
  const colour = /^#[0-9a-f]{6}$/i.test(look.colour) ? look.colour : "#888888";
  const dash = { "--": "7 4", ":": "2 5", "-.": "7 3 2 3" }[look.line] || null;
  return { colour, dash, label: typeof look.label === "string" ? look.label : String(operation) };
};
const wordOf = (run, operation) => (operation ? lookOf(run, operation).label : "unknown");
const scoreOf = (one, split) => (one && one.truth[split]) || {};
const truthOf = (run, split) => (run.info && run.info.truth && run.info.truth.splits[split]) || null;

// The epoch from which on the operation of the largest alpha never changed again, by edge.
function decidedSince(run) {
  const found = {};
  for (const edge of edgesOf(run)) {
    let winner = null, since = null;
    for (const one of run.epochs) {
      const leader = largest(one.alpha[edge]);
      if (leader === null) continue;
      if (leader !== winner) [winner, since] = [leader, one.epoch];
    }
    if (winner) found[edge] = { winner, since };
  }
  return found;
}

// --- the pictures of one epoch ---

// What is known of an edge in an epoch, in lines.
function edgeTip(run, one, edge) {
  const chosen = one.chosen[edge], why = one.why ? one.why.edges[edge] : null;
  const lines = [`${edge}: ${wordOf(run, chosen)}, epoch ${one.epoch}`];
  for (const [name, z] of rows(one.z[edge])) {
    const alpha = (one.alpha[edge] || {})[name], cost = (one.cost[edge] || {})[name];
    const choice = why ? why.choices[name] : null;
    const truth = isNumber(choice) ? `, cell ${choice.toFixed(2)} %` : "";
    lines.push(`${wordOf(run, name)}: Z ${brief(z)}, alpha ${brief(alpha)}, cost ${brief(cost)}${truth}`);
  }
  if (why && isNumber(why.share)) lines.push(`share of the regret: ${why.share.toFixed(2)} points`);
  return lines.join("\n");
}

// A cell as a graph: an edge is as wide as its operation's Z, in the operation's colour.
function cellPicture(run, one, kind) {
  const edges = edgesOf(run).filter((edge) => kindOf(edge) === kind && endsOf(edge));
  if (!edges.length) return null;
  const nodes = [...new Set(edges.flatMap(endsOf))].sort((a, b) => a - b);
  const x = (node) => 24 + (nodes.indexOf(node) * (WIDTH - 48)) / Math.max(1, nodes.length - 1);
  const rise = ([from, to]) => {
    const over = nodes.indexOf(to) - nodes.indexOf(from) - 1;
    return over * (nodes.length > 5 ? 26 : 34) * (from % 2 ? 1 : -1);
  };
  const rises = edges.map((edge) => rise(endsOf(edge)));
  const middle = 26 - Math.min(0, ...rises), height = middle + 22 + Math.max(0, ...rises);
  const picture = svg("svg", { width: WIDTH, height, class: "cell", "data-kind": kind });
  for (const edge of edges) {
    const [from, to] = endsOf(edge), up = rise([from, to]), half = (x(from) + x(to)) / 2;
    const shape = `M ${x(from)} ${middle} Q ${half} ${middle + 2 * up} ${x(to)} ${middle}`;
    const chosen = one.chosen[edge], z = (one.z[edge] || {})[chosen];
    const group = svg(
      "g", { "data-edge": edge },
      svg("path", {
        d: shape, class: "edge", stroke: lookOf(run, chosen).colour,
        "stroke-width": isNumber(z) ? (1 + 9 * z).toFixed(2) : 1,
        "stroke-dasharray": chosen ? lookOf(run, chosen).dash : "2 7",
        "data-operation": chosen,
      }),
      svg("path", { d: shape, class: "hit", "stroke-width": 16 }),
      chosen ? label(half, middle + up - 9, wordOf(run, chosen), { "text-anchor": "middle" }) : null,
    );
    picture.append(tipped(group, () => edgeTip(run, one, edge)));
  }
  for (const node of nodes) {
    picture.append(
      svg("circle", { cx: x(node), cy: middle, r: 11, class: "node" }),
      label(x(node), middle + 3.5, node, { "text-anchor": "middle" }),
    );
  }
  return picture;
}

// Edges x operations of the local cost; the chosen operation is framed.
function heatMap(run, one) {
  const edges = edgesOf(run), names = operationsOf(run), cost = one.cost;
  const height = 20, room = leftOf(run), wide = (WIDTH - room) / Math.max(1, names.length);
  const values = edges.flatMap((edge) => names.map((name) => (cost[edge] || {})[name])).filter(isNumber);
  const most = Math.max(...values.map(Math.abs), 0);
  const power = most > 0 ? Math.floor(Math.log10(most)) : 0;
  const picture = svg("svg", { width: WIDTH, height: 16 + edges.length * height, class: "heat" });
  names.forEach((name, column) => {
    const look = lookOf(run, name), left = room + column * wide;
    const head = svg("g", {}, svg("rect", { x: left + 2, y: 3, width: 8, height: 8, fill: look.colour }));
    if (wide > 50) head.append(label(left + 12, 11, look.label, { "font-size": 9 }));
    picture.append(tipped(head, look.label));
  });
  edges.forEach((edge, line) => {
    const y = 16 + line * height, group = svg("g", { "data-edge": edge }, label(0, y + 14, edge));
    names.forEach((name, column) => {
      const value = (cost[edge] || {})[name], left = room + column * wide;
      const strength = most > 0 && isNumber(value) ? (0.85 * Math.abs(value)) / most : 0;
      const box = svg("rect", { x: left, y, width: wide - 1, height: height - 1 });
      box.style.fill = `rgba(var(${value < 0 ? "--grow" : "--shrink"}), ${strength.toFixed(3)})`;
      group.append(box);
      const shown = isNumber(value) ? (value / 10 ** power).toFixed(2).replace("-", "−") : "·";
      group.append(label(left + wide / 2, y + 13.5, shown, { "text-anchor": "middle" }));
      if (one.chosen[edge] === name) {
        const frame = { x: left + 1, y: y + 1, width: wide - 3, height: height - 3, class: "frame" };
        group.append(svg("rect", frame));
      }
    });
    picture.append(tipped(group, () => edgeTip(run, one, edge)));
  });
  const unit = power ? ` × 10${superscript(power)}` : "";
  const phase = one.cost_phase ? `, ${one.cost_phase} step` : "";
  return [`Local cost dL/dZ${unit}${phase}`, picture];
}

// An edge a line: its share of the regret, and the accuracy of every choice there, all else equal.
function whyPicture(run, one) {
  const edges = rows(one.why && one.why.edges), height = 20;
  if (!edges.length) return null;
  const choices = edges.flatMap(([, edge]) => rows(edge.choices).map(([, value]) => value));
  const [low, high] = extent(choices), floor = Math.max(low, high - REACH);
  const place = scale([floor, high], 136, 290), x = (value) => place(Math.max(value, floor));
  const most = Math.max(...edges.map(([, edge]) => Math.abs(edge.share || 0)), 0.01);
  const reach = scale([0, most], 0, 40);
  const picture = svg(
    "svg", { width: WIDTH, height: 16 + edges.length * height, class: "why" },
    label(46, 11, "points lost", { class: "muted" }),
    label(136, 11, (low < floor ? "≤ " : "") + floor.toFixed(1), { class: "muted", "text-anchor": "middle" }),
    label(290, 11, `${high.toFixed(1)} %`, { class: "muted", "text-anchor": "middle" }),
    label(WIDTH, 11, "best other choice", { class: "muted", "text-anchor": "end" }),
  );
  const own = scoreOf(one, run.info && run.info.truth ? run.info.truth.split : "valid").accuracy;
  edges.forEach(([edge, why], line) => {
    const y = 16 + line * height + height / 2, chosen = one.chosen[edge];
    const group = svg("g", { "data-edge": edge }, label(0, y + 4, edge));
    group.append(svg("rect", { x: 0, y: y - 10, width: WIDTH, height, class: "hit" }));
    if (isNumber(why.share)) {
      const bar = svg("rect", { y: y - 6, x: 46, height: 12, width: reach(Math.abs(why.share)).toFixed(2) });
      bar.style.fill = `rgb(var(${why.share < 0 ? "--grow" : "--shrink"}))`;
      group.append(bar, label(50 + reach(Math.abs(why.share)), y + 4, fixed(why.share).replace("-", "−")));
    }
    group.append(svg("line", { x1: 136, x2: 290, y1: y, y2: y, class: "axis" }));
    const mine = [];
    let best = null;
    for (const [name, value] of rows(why.choices)) {
      if (!isNumber(value)) continue;
      if (name !== chosen && (best === null || value > why.choices[best])) best = name;
      const dot = svg("circle", { cx: x(value), cy: y, r: name === chosen ? 4 : 3, fill: lookOf(run, name).colour });
      if (name === chosen) mine.push(svg("circle", { cx: x(value), cy: y, r: 7, class: "frame" }), dot);
      else group.append(dot);
    }
    group.append(...mine); // above dots of the same accuracy
    if (best !== null) {
      const gain = isNumber(own) ? ` ${signed(why.choices[best] - own)}` : "";
      group.append(label(WIDTH, y + 4, wordOf(run, best) + gain, { "text-anchor": "end" }));
    }
    picture.append(tipped(group, () => edgeTip(run, one, edge)));
  });
  return picture;
}

// --- the pictures of all epochs ---

// A panel with axes: {picture, x, y, plot}; its cursor follows the slider.
function panel({ width, height, left = 34, bottom = 14, right = 4, xs, ys, yTicks = 4, xTicks = 5 }) {
  const x = scale(xs, left, width - right), y = scale(ys, height - bottom, 6);
  const picture = svg("svg", { width, height, class: "panel" });
  for (const tick of ticks(ys, yTicks)) {
    picture.append(svg("line", { x1: left, x2: width - right, y1: y(tick), y2: y(tick), class: "axis" }));
    picture.append(label(left - 4, y(tick) + 3, tick, { "text-anchor": "end", class: "muted" }));
  }
  for (const tick of ticks(xs, xTicks).filter(Number.isInteger)) {
    picture.append(label(x(tick), height - 2, tick, { "text-anchor": "middle", class: "muted" }));
  }
  const cursor = svg("line", { y1: 4, y2: height - bottom, class: "cursor" });
  picture.append(cursor);
  const move = (epoch) => {
    const place = x(Math.min(Math.max(epoch, xs[0]), xs[1]));
    cursor.setAttribute("x1", place);
    cursor.setAttribute("x2", place);
  };
  return { picture, x, y, move };
}

function points(pairs, x, y) {
  let text = "", pen = "M";
  for (const [first, second] of pairs) {
    if (!isNumber(second)) pen = "M";
    else {
      text += `${pen}${x(first).toFixed(1)} ${y(second).toFixed(1)}`;
      pen = "L";
    }
  }
  return text;
}

const spanOf = (runs) => {
  const [low, high] = extent(runs.flatMap((run) => run.epochs.map((one) => one.epoch)));
  return [Math.floor(low), Math.ceil(high)];
};

// One chart an edge, a line an operation.
function edgeCharts(run, quantity) {
  const xs = spanOf([run]), moves = [], charts = html("div", { class: "small" });
  const read = (one, edge, name) => (one[quantity][edge] || {})[name];
  const all = run.epochs.flatMap((one) => rows(one[quantity]).flatMap(([, row]) => Object.values(row)));
  const ys = extent(all);
  for (const edge of edgesOf(run)) {
    const { picture, x, y, move } = panel({ width: 136, height: 92, left: 30, xs, ys, yTicks: 3, xTicks: 3 });
    picture.setAttribute("data-edge", edge);
    for (const name of Object.keys(run.epochs[0].alpha[edge] || {})) {
      const d = points(run.epochs.map((one) => [one.epoch, read(one, edge, name)]), x, y);
      const look = lookOf(run, name);
      if (d) picture.append(svg("path", { d, class: "line", stroke: look.colour, "stroke-dasharray": look.dash }));
    }
    picture.append(label(34, 13, edge), svg("rect", { width: 136, height: 92, class: "hit" }));
    moves.push(move);
    charts.append(tipped(picture, (epoch) => edgeTip(run, at(run, epoch) || run.epochs[0], edge)));
  }
  return { node: charts, move: (epoch) => moves.forEach((move) => move(epoch)) };
}

// The operation of every edge over the epochs, and the epoch since which each edge is decided.
function timeline(run) {
  const edges = edgesOf(run), height = 14, xs = spanOf([run]);
  const x = scale([xs[0], xs[1] + 1], leftOf(run), WIDTH - 112), since = decidedSince(run);
  const picture = svg("svg", { width: WIDTH, height: edges.length * height + 4, class: "timeline" });
  edges.forEach((edge, line) => {
    const y = line * height, group = svg("g", { "data-edge": edge }, label(0, y + 10, edge));
    let start = 0;
    run.epochs.forEach((one, place) => {
      const here = one.chosen[edge], next = run.epochs[place + 1];
      if (next && next.chosen[edge] === here) return;
      const from = x(run.epochs[start].epoch), to = x(next ? next.epoch : one.epoch + 1);
      const colour = here ? lookOf(run, here).colour : "transparent";
      group.append(svg("rect", { x: from, y: y + 1, width: Math.max(0.5, to - from), height: height - 2, fill: colour }));
      start = place + 1;
    });
    if (since[edge]) {
      const place = x(since[edge].since);
      group.append(svg("path", { d: `M ${place} ${y} v ${height}`, class: "frame" }));
      const decision = decisionOf(run, edge), why = decision ? verdictOf(decision)[0] : "";
      const words = [`since ${since[edge].since}`, why].filter(Boolean).join(", ");
      group.append(label(WIDTH - 106, y + 10, words));
    }
    picture.append(tipped(group, () => decisionTip(run, edge, since[edge])));
  });
  const cursor = svg("line", { y1: 0, y2: edges.length * height, class: "cursor", "stroke-dasharray": "2 2" });
  picture.append(cursor);
  const move = (epoch) => {
    const place = x(Math.min(Math.max(epoch, xs[0]), xs[1]) + 0.5);
    cursor.setAttribute("x1", place);
    cursor.setAttribute("x2", place);
  };
  return { node: picture, move };
}

const VERDICTS = {
  clear: ["by cost", "its local cost was surely lower than the runner-up's"],
  tie: ["tie", "a tie, within the uncertainty of its local cost"],
  opposed: ["against cost", "against its local cost, which was surely the higher one"],
  unmoved: ["unmoved", "alpha never moved: the selection alone chose"],
  fixed: ["fixed", "the space leaves this edge no choice"],
  unknown: ["cost unknown", "no local cost is known to judge it by"],
};
const verdictOf = (decision) => (Object.hasOwn(VERDICTS, decision.verdict) ? VERDICTS[decision.verdict] : ["", ""]);

function decisionOf(run, edge) {
  const told = run.explanation && run.explanation.edges.find((one) => one.edge === edge);
  return told && isObject(told.decision) ? told.decision : null;
}

function decisionTip(run, edge, since) {
  const lines = since ? [`${edge}: ${wordOf(run, since.winner)} leads since epoch ${since.since}`] : [edge];
  const decision = decisionOf(run, edge);
  if (decision) {
    if (decision.runner_up) {
      lines.push(`runner-up ${wordOf(run, decision.runner_up)}, alpha margin ${brief(decision.margin)}`);
    }
    lines.push(verdictOf(decision)[1]);
    const sure = decision.overall && decision.overall.confidence;
    if (isNumber(sure)) lines.push(`confidence that its cost is the lower one: ${(100 * sure).toFixed(1)} %`);
  }
  return lines.join("\n");
}

// --- a run ---

function makeCard(run, colour, state) {
  const card = html("section", { class: "card", "data-run": run.name });
  const differing = html("span"), title = html("h2", {}, swatch(colour), nameOf(run), differing);
  const facts = html("p", { class: "facts" }), repair = html("p", { class: "repair muted" });
  const other = html("p", { class: "selections muted" });
  const now = html("div"), always = html("div");
  card.append(title, html("p", { class: "muted" }, subject(run)), facts, now, repair, other, always);
  let moves = [];
  function still() {
    always.replaceChildren();
    if (!run.epochs.length) return;
    const strip = timeline(run), charts = edgeCharts(run, state.lines);
    moves = [strip.move, charts.move];
    always.append(html("h3", {}, "Chosen by epoch; since when, and what the cost said"), strip.node);
    always.append(html("h3", {}, `${LINES[state.lines]} by epoch, edge by edge`), charts.node);
  }
  function show(epoch) {
    const one = at(run, epoch);
    now.replaceChildren();
    repair.textContent = other.textContent = "";
    if (one === null) {
      facts.textContent = "no epoch yet";
      return;
    }
    facts.textContent = told(run, one, state.split);
    for (const kind of new Set(edgesOf(run).map(kindOf))) {
      const picture = cellPicture(run, one, kind);
      if (picture) now.append(html("h3", {}, kind ? `Cell ${kind}` : "Cell; width: Z"), picture);
    }
    const [heading, heat] = heatMap(run, one), why = whyPicture(run, one);
    now.append(html("h3", {}, heading), heat);
    if (why) now.append(html("h3", {}, "Why: each edge's share of the regret, and its other choices"), why);
    repair.textContent = repairs(run, one);
    other.textContent = otherSelections(one);
    moves.forEach((move) => move(epoch));
  }
  still();
  const among = (all) => { differing.textContent = differences(run, all); };
  return { run, node: card, show, still, among };
}

const subject = (run) => {
  const info = run.info || {}, truth = info.truth;
  const parts = [info.run_id || run.name];
  if (info.data) parts.push(`searched on ${String(info.data).replace(/.*[\\/]/, "")}`);
  parts.push(truth ? `truth: ${truth.benchmark}, ${truth.dataset}` : "no truth");
  return parts.join(" · ");
};

function told(run, one, split) {
  const score = scoreOf(one, split), parts = [`epoch ${one.epoch}`];
  const truth = truthOf(run, split);
  if (isNumber(score.accuracy)) parts.push(`${fixed(score.accuracy)} % ${split}`);
  if (isNumber(score.rank)) parts.push(`rank ${score.rank}${truth ? ` of ${truth.cells}` : ""}`);
  if (isNumber(score.regret)) parts.push(`regret ${fixed(score.regret)}`);
  for (const [part, loss] of rows(one.loss)) if (isNumber(loss)) parts.push(`loss ${part} ${loss.toFixed(3)}`);
  return parts.join(" · ");
}

function repairs(run, one) {
  const found = (one.why ? one.why.repairs : []).map((repair) => {
    const changes = rows(repair.changes).map(([edge, name]) => `${wordOf(run, name)} on ${edge}`);
    return `${changes.join(" and ")}, ${fixed(repair.accuracy)} (${signed(repair.gain)})`;
  });
  return found.length ? `Best repair: ${found.join("; ")}` : "";
}

// Cells that other selections read off the same supernet, where they are not the run's own.
function otherSelections(one) {
  const found = rows(one.selections).map(([name, cell]) => {
    const gain = isNumber(cell.gain) ? ` (${signed(cell.gain)})` : "";
    return `${name}: ${text(cell.arch)}, ${fixed(cell.accuracy)}${gain}`;
  });
  return found.length ? `Other selections from this supernet: ${found.join("; ")}` : "";
}

// --- all runs ---

// True accuracy by epoch beside optimum, mean random cell and published rows.
function accuracyChart(runs, colours, split) {
  const shown = runs.filter((run) => run.epochs.some((one) => isNumber(scoreOf(one, split).accuracy)));
  if (!shown.length) return null;
  const references = referencesOf(shown, split), xs = spanOf(shown);
  const own = shown.flatMap((run) => run.epochs.map((one) => scoreOf(one, split).accuracy));
  const anchors = references.filter((mark) => mark.kind !== "published").map((mark) => mark.value);
  const [low, high] = extent([...own, ...anchors]), ys = [low - (high - low) * 0.04, high];
  const { picture, x, y, move } = panel({ width: 640, height: 260, right: 130, xs, ys, yTicks: 6, xTicks: 10 });
  const written = [], order = ["optimum", "random", "published"]; // the first get their labels first
  references.sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind) || b.value - a.value);
  for (const mark of references.filter((one) => one.value >= ys[0])) {
    const height = y(mark.value), ink = mark.kind === "optimum" ? "var(--optimum)" : "var(--muted)";
    const line = svg("line", { x1: 34, x2: 510, y1: height, y2: height, "stroke-dasharray": mark.kind === "published" ? "1 4" : "5 3" });
    line.style.stroke = ink;
    const group = svg("g", { class: "reference" }, line);
    if (written.every((other) => Math.abs(other - height) >= 11)) {
      group.append(label(514, height + 3, `${mark.label} ${fixed(mark.value)}`, { class: "muted" }));
      written.push(height);
    }
    const spread = isNumber(mark.std) ? ` ± ${fixed(mark.std)}` : "";
    picture.append(tipped(group, `${mark.label}: ${fixed(mark.value)}${spread} % (${mark.kind})`));
  }
  for (const run of shown) {
    const d = points(run.epochs.map((one) => [one.epoch, scoreOf(one, split).accuracy]), x, y);
    const look = colours.get(run.name);
    const line = { d, class: "line", stroke: look.colour, "stroke-dasharray": look.dash || null };
    const group = svg("g", { "data-run": run.name }, svg("path", line), svg("path", { d, class: "hit", "stroke-width": 9 }));
    picture.append(tipped(group, (epoch) => `${nameOf(run)}\n${told(run, at(run, epoch) || run.epochs[0], split)}`));
  }
  return { node: picture, move };
}

function referencesOf(runs, split) {
  const found = new Map();
  for (const run of runs) {
    for (const mark of (truthOf(run, split) || { references: [] }).references) {
      if (isNumber(mark.value)) found.set(`${mark.label} ${mark.value}`, mark);
    }
  }
  return [...found.values()];
}

// All cells of the benchmark by accuracy (square root of their number), and each run's cell.
function histogram(runs, colours, split) {
  const sound = ({ low, high, counts }) => isNumber(low) && isNumber(high) && Array.isArray(counts) && counts.every(isNumber);
  const truth = runs.map((run) => truthOf(run, split)).find((one) => one && sound(one.histogram));
  if (!truth) return null;
  const { cells, histogram: bars } = truth;
  const width = 420, height = 260, base = 226, xs = [bars.low, bars.high];
  const x = scale(xs, 8, width - 8), most = Math.sqrt(Math.max(...bars.counts, 1));
  const y = scale([0, most], base, 50), wide = (bars.high - bars.low) / bars.counts.length;
  const picture = svg("svg", { width, height, class: "histogram" });
  bars.counts.forEach((count, place) => {
    const left = bars.low + place * wide, top = y(Math.sqrt(count));
    const bar = svg("rect", { x: x(left), y: top, width: x(left + wide) - x(left) - 0.5, height: base - top });
    bar.style.fill = "var(--grid)";
    picture.append(tipped(bar, `${left.toFixed(1)} to ${(left + wide).toFixed(1)} %: ${count} of ${cells} cells`));
  });
  for (const tick of ticks(xs, 8)) picture.append(label(x(tick), base + 14, tick, { "text-anchor": "middle", class: "muted" }));
  const marks = svg("g");
  picture.append(marks);
  const move = (epoch) => {
    marks.replaceChildren();
    const shown = runs.map((run) => [run, at(run, epoch)]).filter(([, one]) => isNumber(scoreOf(one, split).accuracy));
    const written = [-Infinity, -Infinity, -Infinity]; // the right end of each line of ranks
    shown.sort(([, a], [, b]) => scoreOf(a, split).accuracy - scoreOf(b, split).accuracy);
    for (const [run, one] of shown) {
      const score = scoreOf(one, split), place = x(score.accuracy), look = colours.get(run.name);
      const rank = isNumber(score.rank) ? String(score.rank) : "", half = 3 * rank.length + 2;
      const centre = Math.min(place, width - half), line = written.findIndex((end) => end <= centre - half);
      const mark = svg(
        "g", { "data-run": run.name, class: "mark", "data-rank": score.rank },
        svg("path", { d: `M ${place} ${base} V 46`, stroke: look.colour, "stroke-width": 2, "stroke-dasharray": look.dash || null }),
        svg("path", { d: `M ${place} ${base} V 46`, class: "hit", "stroke-width": 8 }),
        svg("path", { d: `M ${place - 4} 38 h 8 l -4 8 z`, fill: look.colour }),
      );
      if (rank && line >= 0) {
        mark.append(label(centre, 34 - 11 * line, rank, { "text-anchor": "middle" }));
        written[line] = centre + half;
      }
      marks.append(tipped(mark, `${nameOf(run)}\n${told(run, one, split)}`));
    }
  };
  return { node: picture, move };
}

function legend(runs) {
  const looks = new Map();
  for (const run of runs) for (const name of operationsOf(run)) looks.set(name, lookOf(run, name));
  const row = html("div", { class: "legend" });
  for (const look of looks.values()) row.append(html("span", {}, swatch(look.colour), look.label));
  return row;
}

// --- the page ---

/**
 * Draw runs below `root`.
 *
 * @param {Element} root an empty element
 * @param {{runs: Array}} data see the head of this file
 * @returns {{update: function, show: function, element: Element}} update(data) takes new data and
 *   draws what has changed; show(epoch) moves the slider
 */
export function draw(root, data) {
  adoptStyle();
  const state = { epoch: 0, follow: true, strategy: "", seed: "", split: "valid", lines: "alpha", timer: null };
  const seen = new WeakMap(); // runs as they came -> as they are drawn
  let runs = [], visible = [], overview = [];
  const cards = new Map(), colours = new Map();

  const slider = html("input", { type: "range", min: 0, max: 0, step: 1, "aria-label": "epoch" });
  const play = html("button", { type: "button", class: "play", "aria-label": "play" }, "▶");
  const now = html("span", { class: "now", role: "status" });
  const selects = {
    strategy: html("select", { "aria-label": "strategy" }),
    seed: html("select", { "aria-label": "seed" }),
    split: html("select", { "aria-label": "split" }),
    lines: html("select", { "aria-label": "lines" }),
  };
  const bar = html(
    "div", { class: "bar" }, play, slider, now, ...Object.values(selects),
    html("span", { class: "hint" }, "← → move the epoch, space plays"),
  );
  const empty = html("p", { class: "empty" }, "No run has told of an epoch yet.");
  const legends = html("div"), charts = html("div", { class: "row charts" }), grid = html("div", { class: "row cards" });
  const tip = html("div", { class: "tip", hidden: "" });
  const page = html("div", { class: "wiring", tabindex: 0 }, bar, empty, legends, charts, grid, tip);
  root.append(page);

  function offer(name, options, chosen) {
    const values = options.map(([value]) => value);
    if (!values.includes(chosen)) chosen = values.length ? values[0] : "";
    const old = [...selects[name].options].map((option) => option.value + option.text).join();
    if (old !== options.map(([value, text]) => value + text).join()) {
      selects[name].replaceChildren(...options.map(([value, text]) => html("option", { value }, text)));
    }
    selects[name].value = chosen;
    selects[name].hidden = name !== "lines" && options.length < 2;
    state[name] = chosen;
  }

  function offerAll() {
    const kinds = (name) => {
      const values = new Set(runs.map((run) => settingOf(run, name)));
      const sorted = [...values].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
      if (sorted.length < 2) return [["", ""]]; // nothing to choose
      return [["", name === "seed" ? "all seeds" : "all strategies"], ...sorted.map((value) => [value, `${name} ${value}`])];
    };
    offer("strategy", kinds("strategy"), state.strategy);
    offer("seed", kinds("seed"), state.seed);
    const splits = new Set(runs.flatMap((run) => rows(run.info && run.info.truth && run.info.truth.splits).map(([name]) => name)));
    offer("split", [...splits].map((name) => [name, name]), state.split);
    offer("lines", Object.entries(LINES), state.lines);
  }

  function arrange() {
    const fits = (run, name) => !state[name] || settingOf(run, name) === state[name];
    visible = runs.filter((run) => fits(run, "strategy") && fits(run, "seed"));
    const last = Math.max(0, ...visible.map((run) => (run.epochs.length ? run.epochs[run.epochs.length - 1].epoch : 0)));
    slider.max = last;
    if (state.follow || state.epoch > last) state.epoch = last;
    empty.hidden = visible.some((run) => run.epochs.length);
    legends.replaceChildren(legend(visible));
    overview = [
      ["True accuracy of the derived cell by epoch", accuracyChart(visible, colours, state.split)],
      ["All cells by accuracy, square-root height; each run's rank", histogram(visible, colours, state.split)],
    ].filter(([, chart]) => chart);
    charts.replaceChildren(...overview.map(([text, chart]) => html("div", {}, html("h3", {}, text), chart.node)));
    visible.forEach((run) => cards.get(run.name).among(runs));
    const wanted = visible.map((run) => cards.get(run.name).node);
    if (wanted.length !== grid.children.length || wanted.some((node, k) => grid.children[k] !== node)) {
      grid.replaceChildren(...wanted);
    }
  }

  function show(epoch) {
    state.epoch = Math.min(Math.max(Math.round(epoch), 0), Number(slider.max));
    state.follow = state.epoch === Number(slider.max);
    slider.value = state.epoch;
    now.textContent = `epoch ${state.epoch} of ${slider.max}`;
    overview.forEach(([, chart]) => chart.move(state.epoch));
    visible.forEach((run) => cards.get(run.name).show(state.epoch));
  }

  function update(next) {
    for (const run of next.runs) if (!seen.has(run)) seen.set(run, tamed(run));
    runs = next.runs.map((run) => seen.get(run)).sort((a, b) => nameOf(a).localeCompare(nameOf(b), undefined, { numeric: true }) || a.name.localeCompare(b.name));
    runs.forEach((run, place) => {
      const colour = RUN_COLOURS[place % RUN_COLOURS.length];
      const look = { colour, dash: DASHES[Math.floor(place / RUN_COLOURS.length) % DASHES.length] };
      const old = cards.get(run.name), same = colours.get(run.name);
      colours.set(run.name, look);
      if (!old || old.run !== run || !same || same.colour !== colour) {
        cards.set(run.name, makeCard(run, colour, state));
      }
    });
    offerAll();
    arrange();
    show(state.epoch);
  }

  function setPlaying(on) {
    clearInterval(state.timer);
    state.timer = on ? setInterval(() => {
      show(state.epoch + 1);
      if (state.follow) setPlaying(false);
    }, STEP) : null;
    play.textContent = on ? "⏸" : "▶";
    play.setAttribute("aria-label", on ? "pause" : "play");
  }

  function toggle() {
    if (!state.timer && state.epoch === Number(slider.max)) show(0);
    setPlaying(!state.timer);
  }

  slider.addEventListener("input", () => show(Number(slider.value)));
  play.addEventListener("click", toggle);
  for (const [name, select] of Object.entries(selects)) {
    select.addEventListener("change", () => {
      state[name] = select.value;
      if (name === "lines") cards.forEach((card) => card.still());
      arrange();
      show(state.epoch);
    });
  }
  const keys = {
    ArrowLeft: () => show(state.epoch - 1), ArrowRight: () => show(state.epoch + 1),
    Home: () => show(0), End: () => show(Infinity), " ": toggle,
  };
  // In a longer page the keys scroll, unless the reader is here.
  (root === document.body ? document : page).addEventListener("keydown", (event) => {
    const busy = event.target instanceof Element && event.target.closest("input, select, button");
    if (busy || event.ctrlKey || event.altKey || event.metaKey || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });
  linkHover(page, tip, () => state.epoch);
  followTheme(page);
  update(data);
  return { update, show, element: page };
}

// The same edge of all runs, and the same run in all charts, light up together.
function linkHover(page, tip, epoch) {
  let lit = [];
  function light(event) {
    const target = event.target instanceof Element ? event.target : null;
    const edge = target && target.closest("[data-edge]"), run = target && target.closest(".charts [data-run]");
    lit.forEach((node) => node.classList.remove("lit"));
    page.classList.toggle("linked", Boolean(edge));
    page.classList.toggle("linked-run", Boolean(run));
    lit = [];
    if (edge) lit.push(...page.querySelectorAll(`[data-edge="${CSS.escape(edge.dataset.edge)}"]`));
    if (run) lit.push(...page.querySelectorAll(`[data-run="${CSS.escape(run.dataset.run)}"]`));
    lit.forEach((node) => node.classList.add("lit"));
    const holder = target && target.closest("[data-tip]"), text = holder && tips.get(holder);
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = typeof text === "function" ? text(epoch()) : text;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(0, Math.min(event.clientX + 14, innerWidth - width - 4))}px`;
    tip.style.top = `${Math.max(0, Math.min(event.clientY + 14, innerHeight - height - 4))}px`;
  }
  page.addEventListener("mouseover", light);
  page.addEventListener("mouseleave", light);
}

// Dark where TensorBoard around the frame is dark; in a page of its own where the system is.
function followTheme(page) {
  let outside = null;
  try {
    if (window.parent !== window) outside = window.parent.document.body;
  } catch {
    outside = null; // a parent of another origin
  }
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const dark = outside ? outside.classList.contains("dark-mode") : system.matches;
    page.classList.toggle("dark", dark);
  };
  if (outside) new MutationObserver(apply).observe(outside, { attributes: true, attributeFilter: ["class"] });
  else system.addEventListener("change", apply);
  apply();
}

let styled = false;
function adoptStyle() {
  if (styled) return;
  styled = true;
  const sheet = new CSSStyleSheet(); // which no content policy forbids
  sheet.replaceSync(STYLE);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
}

// --- TensorBoard ---

// What is new of one run, merged into what is known; epochs beyond `last` were taken back.
async function fetchRun(name, listed, known) {
  const since = known && listed.last >= known.last ? known.written : 0;
  const answer = await fetch(new URL(`run?${new URLSearchParams({ name, since })}`, import.meta.url));
  if (!answer.ok) return null;
  const { info, explanation, epochs } = await answer.json();
  const merged = new Map();
  if (since) for (const one of known.run.epochs) merged.set(one.epoch, one);
  for (const one of epochs) if (Number.isInteger(one.epoch)) merged.set(one.epoch, one);
  const sorted = [...merged.values()].filter((one) => one.epoch <= listed.last).sort((a, b) => a.epoch - b.epoch);
  return { ...listed, run: { name, info, explanation, epochs: sorted } };
}

async function news(known) {
  const answer = await fetch(new URL("runs", import.meta.url));
  if (!answer.ok) return false;
  const listed = await answer.json();
  let changed = false;
  for (const name of [...known.keys()]) if (!(name in listed)) changed = known.delete(name);
  await Promise.all(Object.entries(listed).map(async ([name, one]) => {
    const old = known.get(name);
    if (old && old.written === one.written && old.last === one.last) return;
    const found = await fetchRun(name, one, old);
    if (found) {
      known.set(name, found);
      changed = true;
    }
  }));
  return changed;
}

/** Draw the tab in TensorBoard's frame, and keep it up to date. */
export async function render() {
  document.body.style.margin = "0";
  const view = draw(document.body, { runs: [] }), known = new Map();
  view.element.focus();
  async function poll() {
    try {
      if (!document.hidden && await news(known)) view.update({ runs: [...known.values()].map((one) => one.run) });
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // TensorBoard was stopped; it may come back
    }
    setTimeout(poll, POLL);
  }
  await poll();
}
