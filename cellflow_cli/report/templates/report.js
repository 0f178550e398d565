"use strict";
document.documentElement.classList.add("js");

// Tables: sorted by a click or key press on a head, filtered by text, and where there are several metrics,
// showing the one that is chosen.
for (const box of document.querySelectorAll(".table")) {
  const table = box.querySelector("table");
  const body = table.tBodies[0];
  const lines = Array.from(body.rows);
  const heads = Array.from(table.tHead.rows[0].cells);
  let sorted = null;

  const keyOf = (line, column) => line.cells[column].dataset.v;

  const compare = (a, b, numeric) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    return numeric ? Number(a) - Number(b) : a.localeCompare(b, "en", { numeric: true });
  };

  const order = () => {
    const { column, sign } = sorted;
    const numeric = lines.every((line) => keyOf(line, column) === "" || !Number.isNaN(Number(keyOf(line, column))));
    const ranked = lines.slice().sort((p, q) => {
      const a = keyOf(p, column), b = keyOf(q, column);
      return (a === "" || b === "" ? 1 : sign) * compare(a, b, numeric);
    });
    body.append(...ranked);
  };

  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      sorted = { column, sign: up ? 1 : -1 };
      order();
    });
  });

  const search = box.querySelector("input[type=search]");
  const count = box.querySelector(".count");
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    for (const line of lines) {
      const text = Array.from(line.cells, (cell) => cell.textContent).join(" ").toLowerCase();
      line.hidden = !words.every((word) => text.includes(word));
      left += !line.hidden;
    }
    count.textContent = `${left} of ${lines.length}`;
  };
  if (search) {
    search.addEventListener("input", filter);
    filter();
  }

  const choice = box.querySelector("select");
  if (choice && box.dataset.switch) {
    const numbers = JSON.parse(document.getElementById(box.dataset.switch).textContent);
    choice.addEventListener("change", () => {
      lines.forEach((line, i) => {
        const values = numbers[choice.value][i];
        const first = line.cells.length - values.length;
        values.forEach(([value, text], j) => {
          const cell = line.cells[first + j];
          cell.dataset.v = value === null ? "" : value;
          cell.textContent = text;
        });
      });
      box.querySelector(".shown b").textContent = choice.value;
      if (sorted) order();
      if (search) filter();
    });
  }
}

// Cells: one population at a time, drawn from numbers that the page holds.
(() => {
  const node = document.getElementById("cells-data");
  if (!node || !window.Plotly) return;
  const data = JSON.parse(node.textContent);
  const roles = ["control", "measured", "predicted"];
  const symbols = { control: "circle", measured: "square", predicted: "triangle-up" };
  const dashes = { control: "dot", measured: "solid", predicted: "dash" };
  const choice = document.getElementById("cells-population");
  data.populations.forEach((one, i) => choice.add(new Option(one.title, i)));

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  // pairs of 16 bit integers, from the lower to the upper end of the range of each axis
  const points = (text) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const whole = new DataView(bytes.buffer), xs = [], ys = [];
    const at = (i, axis) => {
      const [low, high] = data.ranges[axis];
      return low + (whole.getUint16(2 * i, true) / 65535) * (high - low);
    };
    for (let i = 0; i < bytes.length / 2; i += 2) { xs.push(at(i, 0)); ys.push(at(i + 1, 1)); }
    return { x: xs, y: ys };
  };

  const layout = (more) => ({
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest",
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: colour("ink") },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", itemsizing: "constant" },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("soft"), activecolor: colour("ink") },
    ...more,
  });
  const axis = (more) => ({
    gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("soft"), automargin: true, ...more,
  });
  const config = {
    responsive: true, displaylogo: false, displayModeBar: window.innerWidth < 640 ? false : "hover",
    modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
  };

  const drawCells = (one) => {
    const traces = roles.map((role) => ({
      ...points(role === "control" ? data.controls[one.sample] : one[role]),
      type: "scatter", mode: "markers", name: role, hoverinfo: "name",
      marker: { color: colour(role), symbol: symbols[role], size: 6, opacity: 0.5 },
    }));
    const [x, y] = data.axes;
    const [xs, ys] = data.ranges;
    Plotly.react("plot-cells", traces, layout({
      margin: { l: 50, r: 10, t: 40, b: 50 },
      xaxis: axis({ title: { text: x }, range: xs, zeroline: false }),
      yaxis: axis({ title: { text: y }, range: ys, zeroline: false }),
    }), config);
  };

  const drawMarginals = (one) => {
    const place = document.getElementById("plot-marginals");
    const narrow = place.clientWidth < 640;
    const columns = Math.min(one.marginals.length, narrow ? 2 : 3) || 1;
    const traces = [], axes = {}, titles = [];
    one.marginals.forEach((shown, k) => {
      const name = k ? String(k + 1) : "";
      const middles = shown.control.map((_, i) => shown.low + (i + 0.5) * shown.width);
      for (const role of roles) {
        traces.push({
          x: middles, y: shown[role], type: "scatter", mode: "lines", name: role, legendgroup: role,
          showlegend: k === 0, xaxis: `x${name}`, yaxis: `y${name}`,
          line: { color: colour(role), dash: dashes[role], shape: "hvh", width: 2 },
          hovertemplate: `${role}: %{y:.0%} at %{x:.3g}<extra>${shown.feature}</extra>`,
        });
      }
      axes[`xaxis${name}`] = axis({ nticks: narrow ? 3 : 5, zeroline: false });
      axes[`yaxis${name}`] = axis({ nticks: 4, rangemode: "tozero", tickformat: ".0%" });
      titles.push({
        text: shown.feature, xref: `x${name} domain`, yref: `y${name} domain`, x: 0.5, y: 1.0, yanchor: "bottom",
        showarrow: false, font: { size: 13 },
      });
    });
    const rows = Math.max(1, Math.ceil(one.marginals.length / columns));
    Plotly.react(place, traces, layout({
      margin: { l: 45, r: 10, t: 60, b: 35 }, annotations: titles,
      legend: { orientation: "h", x: 0, y: 1, yref: "container", yanchor: "top" },
      grid: { rows, columns, pattern: "independent", xgap: narrow ? 0.3 : 0.14, ygap: 0.42 }, ...axes,
    }), config);
  };

  const drawChanges = (one) => {
    const names = one.changes.map((change) => change[0]);
    const traces = ["measured", "predicted"].map((role, i) => ({
      x: one.changes.map((change) => change[1 + i]), y: names, type: "scatter", mode: "markers", name: role,
      marker: { color: colour(role), symbol: symbols[role], size: 10 },
      hovertemplate: `%{y}: %{x:.3g}<extra>${role}</extra>`,
    }));
    traces.unshift({
      x: one.changes.flatMap((change) => [change[1], change[2], null]), y: names.flatMap((name) => [name, name, null]),
      type: "scatter", mode: "lines", hoverinfo: "skip", showlegend: false, line: { color: colour("line"), width: 3 },
    });
    Plotly.react("plot-changes", traces, layout({
      margin: { l: 60, r: 10, t: 40, b: 40 },
      xaxis: axis({ zeroline: true, zerolinecolor: colour("soft") }),
      yaxis: axis({ autorange: "reversed", type: "category", dtick: 1 }),
    }), config);
  };

  const draw = () => {
    const one = data.populations[Number(choice.value)];
    document.getElementById("cells-text").textContent = one.text;
    drawCells(one);
    drawMarginals(one);
    drawChanges(one);
  };
  const step = (by) => {
    const n = data.populations.length;
    choice.value = String((Number(choice.value) + by + n) % n);
    draw();
  };
  choice.value = String(data.first);
  choice.addEventListener("change", draw);
  document.getElementById("cells-previous").addEventListener("click", () => step(-1));
  document.getElementById("cells-next").addEventListener("click", () => step(1));
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
})();
