"use strict";
// Draws the figures of the report with ECharts, sorts its tables, and leads through the map of items.
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)").matches;
  const charts = [];
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const palette = () => [1, 2, 3, 4, 5, 6, 7, 8].map((place) => colour(`--s${place}`));
  const escape = (text) => echarts.format.encodeHTML(String(text));
  const shown = (value, digits) =>
    value === null || value === undefined ? "–"
      : value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: digits });

  const base = () => ({
    animation: false,
    color: palette(),
    textStyle: { color: colour("--text"), fontFamily: "system-ui, sans-serif" },
    grid: { left: 16, right: 18, top: 34, bottom: 8, containLabel: true },
    legend: { top: 0, left: 0, itemWidth: 14, itemHeight: 9, textStyle: { color: colour("--text") }, type: "scroll",
      pageTextStyle: { color: colour("--text") } },
    tooltip: { confine: true, backgroundColor: colour("--panel"), borderColor: colour("--line"),
      textStyle: { color: colour("--text"), fontSize: 13 } },
  });
  const axis = (more) => ({
    axisLine: { onZero: false, lineStyle: { color: colour("--muted") } },
    axisTick: { show: false },
    axisLabel: { color: colour("--muted"), hideOverlap: true },
    splitLine: { lineStyle: { color: colour("--line") } },
    nameTextStyle: { color: colour("--muted") },
    nameLocation: "middle",
    ...more,
  });

  // Lines from low to high beside the points of a series. `place` says where on the other axis the i-th one is; without
  // it, values run from left to right and series lie below each other, `shift` pixels apart.
  const whiskers = (series, index, place, shift = 0) => ({
    name: series.name,
    type: "custom",
    silent: true,
    tooltip: { show: false },
    z: 1,
    itemStyle: { color: palette()[index] },
    data: series.values.map((_, i) => [place ? place(i) : i, series.low[i], series.high[i]]).filter((one) => one[1] !== null && one[2] !== null),
    renderItem: (_, api) => {
      const ends = [1, 2].map((end) => api.coord(place ? [api.value(0), api.value(end)] : [api.value(end), api.value(0)]));
      const [[x1, y1], [x2, y2]] = ends.map(([x, y]) => [x, y + shift]);
      return { type: "line", shape: { x1, y1, x2, y2 }, style: { stroke: palette()[index], lineWidth: 2, opacity: 0.75 } };
    },
  });
  const dots = (series, index, shift) => ({
    name: series.name,
    type: "scatter",
    symbolSize: 9,
    z: 3,
    itemStyle: { color: palette()[index] },
    symbolOffset: [0, shift],
    data: series.values.map((value, i) => [value, i]),
  });
  const withBounds = (data, i) => data.series.map((one) => {
    const bounds = one.low && one.low[i] !== null ? ` (${shown(one.low[i], data.digits)} to ${shown(one.high[i], data.digits)})` : "";
    return `${escape(one.name)}: <b>${shown(one.values[i], data.digits)}</b>${bounds}`;
  }).join("<br>");
  // How far an axis reaches, so that all intervals lie on it, from one round number to another.
  const reach = (data) => {
    const all = data.series.flatMap((one) => [...one.values, ...(one.low || []), ...(one.high || [])]).filter((v) => v !== null && v !== undefined);
    if (!all.length) return {};
    const [low, high] = [Math.min(...all), Math.max(...all)];
    const step = 10 ** Math.floor(Math.log10((high - low || Math.abs(high) || 1) / 2));
    const round = (value) => Number(value.toFixed(9));
    return { min: round(Math.max(0, Math.floor(low / step) * step)), max: round(Math.ceil(high / step) * step) };
  };
  // Series side by side, so that their intervals do not hide each other.
  const beside = (i, index, count) => i + (index - (count - 1) / 2) * 0.09;

  const draw = {
    nights: (data) => {
      const [count, last] = [data.series.length, data.labels.length - 1];
      return {
        ...base(),
        tooltip: { ...base().tooltip, trigger: "axis", formatter: (all) => {
          const i = Math.round(all[0].value[0]);
          return `${escape(data.labels[i])}<br>${withBounds(data, i)}`;
        } },
        xAxis: axis({ type: "value", min: -0.5, max: last + 0.5, interval: 0.5, splitLine: { show: false },
          axisLabel: { color: colour("--muted"), hideOverlap: true, formatter: (x) => (Number.isInteger(x) ? data.labels[x] ?? "" : "") } }),
        yAxis: axis({ type: "value", ...reach(data) }),
        series: data.series.flatMap((one, index) => [
          { name: one.name, type: "line", connectNulls: true, symbolSize: 8, itemStyle: { color: palette()[index] },
            data: one.values.map((value, i) => [beside(i, index, count), value]) },
          ...(one.low ? [whiskers(one, index, (i) => beside(i, index, count))] : []),
        ]),
      };
    },
    slices: (data) => ({
      ...base(),
      tooltip: { ...base().tooltip, trigger: "item", formatter: (one) => `${escape(data.labels[one.value[1]])}<br>${withBounds(data, one.value[1])}` },
      xAxis: axis({ type: "value", ...reach(data) }),
      yAxis: axis({ type: "category", data: data.labels, inverse: true,
        axisLabel: { color: colour("--muted"), width: 130, overflow: "truncate", interval: 0 } }),
      series: data.series.flatMap((one, index) => {
        const shift = (index - (data.series.length - 1) / 2) * 9;
        return [dots(one, index, shift), whiskers(one, index, null, shift)];
      }),
    }),
    bars: (data) => {
      const names = axis({ type: "category", data: data.labels, inverse: Boolean(data.across), splitLine: { show: false },
        name: data.x, nameGap: 26, axisLabel: { color: colour("--muted"), hideOverlap: true, interval: data.across ? 0 : "auto" } });
      const values = axis({ type: data.log ? "log" : "value", ...(data.log ? { min: 0.5, axisLabel: { color: colour("--muted"), formatter: (v) => (v < 1 ? "" : v.toLocaleString("en")) } } : {}) });
      return {
        ...base(),
        grid: { ...base().grid, bottom: data.x ? 24 : 8 },
        tooltip: { ...base().tooltip, trigger: "axis", axisPointer: { type: "shadow" },
          formatter: (all) => `${escape(data.labels[all[0].dataIndex])}<br>${withBounds(data, all[0].dataIndex)}` },
        xAxis: data.across ? values : names,
        yAxis: data.across ? names : values,
        series: data.series.map((one) => ({ name: one.name, type: "bar", stack: data.stacked ? "all" : undefined, barMaxWidth: 34, data: one.values })),
      };
    },
    lines: (data) => ({
      ...base(),
      grid: { ...base().grid, bottom: 24 },
      tooltip: { ...base().tooltip, trigger: "axis", valueFormatter: (value) => shown(value, data.digits) },
      xAxis: axis({ type: "value", name: data.x, nameGap: 26, splitLine: { show: false }, max: "dataMax", min: "dataMin" }),
      yAxis: axis({ type: "value", scale: !data.zero }),
      series: data.series.map((one, i) => ({ name: one.name, type: "line", data: one.points, symbol: one.area || one.points.length > 60 ? "none" : "circle",
        symbolSize: 5, step: one.area ? "end" : false, areaStyle: one.area ? { opacity: 0.15 } : undefined, lineStyle: { width: 1.5 }, color: palette()[i] })),
    }),
  };

  const start = (element, make, renderer) => {
    const chart = echarts.init(element, null, { renderer });
    const again = () => chart.setOption(make(), true);
    again();
    charts.push({ chart, again });
    new ResizeObserver(() => chart.resize()).observe(element);
    return chart;
  };

  // The map: every point is a content. One first code can be chosen; then its second codes have colours, the rest is grey.
  const map = (element, data) => {
    const list = document.getElementById("map-code");
    const told = document.getElementById("map-told");
    const whole = { x: [-1.05, 1.05], y: [-1.05, 1.05] };
    let view = whole;
    let chosen = null;
    const members = new Map();
    data.code.forEach((code, i) => members.set(code, [...(members.get(code) || []), i]));
    const codes = [...members.keys()].sort((a, b) => members.get(b).length - members.get(a).length || a - b);
    const places = new Map(codes.map((code, i) => [code, i]));
    const hue = (place) => `hsl(${(place * 137.508) % 360} ${60 + (place % 3) * 15}% ${colour("--lightness")})`;
    const seconds = () => new Map([...new Set(members.get(chosen).map((i) => data.second[i]))].map((second, i) => [second, i]));
    const make = () => {
      const within = chosen === null ? null : seconds();
      const hues = chosen === null ? codes.map((_, place) => hue(place)) : [...within.values()].map(hue);
      const grey = colour("--muted");
      const inside = (i) => chosen === null || data.code[i] === chosen;
      return {
        animation: false,
        aria: { enabled: false },
        grid: { left: 4, right: 4, top: 4, bottom: 4 },
        tooltip: { ...base().tooltip, trigger: "item", formatter: (one) => {
          const i = one.value[2];
          const items = data.items[i] > 1 ? `<br>${data.items[i]} items have this text` : "";
          return `<b>${escape(data.title[i])}</b><br>${escape(data.categories[data.category[i]])}<br>semantic ID ${escape(data.sid[i])}${items}`;
        }, extraCssText: "max-width: 300px; white-space: normal" },
        xAxis: { type: "value", show: false, min: view.x[0], max: view.x[1] },
        yAxis: { type: "value", show: false, min: view.y[0], max: view.y[1] },
        series: [{
          type: "scatter",
          clip: true,
          progressive: 0,
          symbolSize: (value) => (chosen === null ? 5 : inside(value[2]) ? 9 : 3),
          data: data.x.map((x, i) => ({ value: [x, data.y[i], i],
            itemStyle: { color: inside(i) ? (chosen === null ? hues[places.get(data.code[i])] : hues[within.get(data.second[i])]) : grey,
              opacity: inside(i) ? 0.85 : 0.15 } })),
          emphasis: { itemStyle: { borderColor: colour("--text"), borderWidth: 2, opacity: 1 } },
        }],
      };
    };
    const chart = start(element, make, "canvas");
    const look = (next) => { view = next; chart.setOption({ xAxis: { min: view.x[0], max: view.x[1] }, yAxis: { min: view.y[0], max: view.y[1] } }); };
    const zoom = (factor) => look(Object.fromEntries(Object.entries(view).map(([axis, [low, high]]) => {
      const [middle, half] = [(low + high) / 2, ((high - low) / 2) * factor];
      return [axis, [middle - half, middle + half]];
    })));
    const pan = (dx, dy) => {
      const [w, h] = [view.x[1] - view.x[0], view.y[1] - view.y[0]];
      look({ x: view.x.map((v) => v + dx * w), y: view.y.map((v) => v + dy * h) });
    };
    const around = (of, values) => {
      const sorted = of.map((i) => values[i]).sort((a, b) => a - b);
      // A few contents lie far from the others of their code: the middle nine tenths fill the picture.
      const [low, high] = [sorted[Math.floor(sorted.length * 0.05)], sorted[Math.ceil(sorted.length * 0.95) - 1]];
      const room = Math.max((high - low) * 0.25, 0.03);
      return [low - room, high + room];
    };
    const choose = (code) => {
      chosen = code;
      list.value = code === null ? "" : String(code);
      const of = code === null ? null : members.get(code);
      view = code === null ? whole : { x: around(of, data.x), y: around(of, data.y) };
      chart.setOption(make(), true);
      element.dataset.code = code === null ? "" : String(code);
      if (code === null) {
        told.textContent = "";
        return;
      }
      const words = data.words[code] ? ` Telling words: ${data.words[code]}.` : "";
      const titles = [...new Set(of.map((i) => data.title[i]))].slice(0, 8).join("; ");
      told.textContent = `First code ${code}: ${of.length} contents on the map.${words} For example: ${titles}.`;
    };
    for (const code of codes) {
      const words = data.words[code] ? `: ${data.words[code]}` : "";
      list.add(new Option(`${code}${words} (${members.get(code).length})`, String(code)));
    }
    list.addEventListener("change", () => choose(list.value === "" ? null : Number(list.value)));
    chart.on("click", (one) => choose(data.code[one.value[2]]));
    const actions = { in: () => zoom(0.6), out: () => zoom(1 / 0.6), all: () => choose(null) };
    document.querySelectorAll("[data-map]").forEach((button) => button.addEventListener("click", actions[button.dataset.map]));
    const keys = { ArrowLeft: () => pan(-0.15, 0), ArrowRight: () => pan(0.15, 0), ArrowUp: () => pan(0, 0.15), ArrowDown: () => pan(0, -0.15),
      "+": actions.in, "=": actions.in, "-": actions.out, Escape: actions.all };
    element.addEventListener("keydown", (event) => {
      if (keys[event.key] && !event.ctrlKey && !event.metaKey) { event.preventDefault(); keys[event.key](); }
    });
    element.addEventListener("wheel", (event) => {
      // Without a key the wheel scrolls the page; a pinch on a touchpad arrives as a wheel with Ctrl.
      if (event.ctrlKey || event.shiftKey) { event.preventDefault(); zoom(event.deltaY > 0 || event.deltaX > 0 ? 1.15 : 1 / 1.15); }
    }, { passive: false });
    let from = null;
    if (!coarse) {
      chart.getZr().on("mousedown", (event) => { from = [event.offsetX, event.offsetY]; });
      chart.getZr().on("mousemove", (event) => {
        if (from === null) return;
        pan((from[0] - event.offsetX) / element.clientWidth, (event.offsetY - from[1]) / element.clientHeight);
        from = [event.offsetX, event.offsetY];
      });
      addEventListener("mouseup", () => { from = null; });
    }
    document.querySelectorAll("button[data-code]").forEach((button) => {
      if (members.has(Number(button.dataset.code))) {
        button.addEventListener("click", () => { choose(Number(button.dataset.code)); element.scrollIntoView({ block: "center" }); element.focus({ preventScroll: true }); });
      } else {
        button.replaceWith(button.textContent);
      }
    });
  };

  const sortable = (table) => {
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const down = heading.getAttribute("aria-sort") === "ascending" || (!heading.hasAttribute("aria-sort") && heading.classList.contains("n"));
        headings.forEach((one) => one.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent;
        const number = (row) => (key(row) === "" || Number.isNaN(Number(key(row))) ? null : Number(key(row)));
        const order = (a, b) => {
          const [x, y] = [number(a), number(b)];
          if (x !== null && y !== null) return x - y;
          if (x !== null || y !== null) return (x === null ? 1 : -1) * (down ? -1 : 1); // what is missing comes last
          return key(a).localeCompare(key(b), "en", { numeric: true });
        };
        const rows = [...table.tBodies[0].rows].sort((a, b) => (down ? -1 : 1) * order(a, b));
        table.tBodies[0].append(...rows);
      });
    });
  };

  for (const [name, figure] of Object.entries(figures)) {
    const element = document.getElementById(`plot-${name}`);
    if (figure.kind === "map") map(element, figure.data);
    else start(element, () => draw[figure.kind](figure.data), "svg");
  }
  document.querySelectorAll("table.sortable").forEach(sortable);
  document.querySelectorAll(".scroll").forEach((box) => {
    // What can be scrolled must be reached by keyboard.
    const told = new ResizeObserver(() => { box.tabIndex = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight ? 0 : -1; });
    told.observe(box);
  });
  dark.addEventListener("change", () => charts.forEach((one) => one.again()));
})();
