"use strict";
(() => {
  let data = null;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  // Okabe and Ito's colours, as in the still pictures; with the symbols, 35 groups can be told apart.
  const colors = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "ink"];
  const symbols = ["circle", "diamond", "square", "cross", "x"];

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const color = (index) => {
    const one = colors[index % colors.length];
    return one === "ink" ? style("--ink") : one;
  };
  const contrast = (index) => {
    if (index === null) return style("--ink");
    return colors[index % colors.length] === "ink" ? style("--paper") : "#ffffff";
  };
  // Plotly reads tags in its texts; a title is only ever text.
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const short = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);
  const lines = (...texts) => texts.filter(Boolean).map((one) => plain(short(one, 90))).join("<br>");

  function sortable(table) {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const key = (row) => row.cells[column].dataset.key;
        const numbers = [...body.rows].some((row) => key(row) !== undefined);
        const was = head.getAttribute("aria-sort");
        const sign = was === (numbers ? "descending" : "ascending") ? -1 : 1;
        const down = numbers === (sign === 1);
        const value = (row) => (numbers ? Number(key(row) ?? NaN) : row.cells[column].textContent);
        const order = (one, other) => {
          const [a, b] = [value(one), value(other)];
          if (!numbers) return a.localeCompare(b, undefined, { numeric: true }) * (down ? -1 : 1);
          if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
          return (a - b) * (down ? -1 : 1);
        };
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        body.append(...[...body.rows].sort(order));
      });
    });
  }

  function choice(plot, label, names, onchange) {
    const select = document.createElement("select");
    names.forEach((name, index) => select.append(new Option(name, index)));
    const wrapped = document.createElement("label");
    wrapped.append(`${label} `, select);
    if (names.length > 1) plot.querySelector(".controls").append(wrapped);
    select.addEventListener("change", onchange);
    return { get value() { return Number(select.value || 0); }, select, wrapped };
  }

  const layout = () => ({
    paper_bgcolor: style("--paper"),
    plot_bgcolor: style("--paper"),
    font: { family: "system-ui, sans-serif", size: 12, color: style("--ink") },
    margin: { l: 0, r: 0, t: 0, b: 0 },
    hoverlabel: { align: "left", bgcolor: style("--tint"), bordercolor: style("--line"), font: { color: style("--ink"), size: 12 } },
  });
  const config = { displaylogo: false, responsive: true, displayModeBar: false };

  const draw = {
    tree(plot) {
      const names = Object.keys(data.tree);
      const canvas = plot.querySelector(".canvas");
      const show = () => {
        const nodes = data.tree[names[modality.value]];
        Plotly.react(canvas, [{
          type: "sunburst",
          ids: nodes.map((node) => node.id),
          parents: nodes.map((node) => node.parent),
          labels: nodes.map((node) => node.name.split(", ").slice(0, 2).map((term) => plain(short(term, 24))).join("<br>")),
          values: nodes.map((node) => node.size),
          branchvalues: "remainder",
          marker: { colors: nodes.map((node) => (node.branch === null ? style("--tint") : color(node.branch))), line: { color: style("--paper"), width: 1 } },
          leaf: { opacity: 0.85 },
          insidetextfont: { color: nodes.map((node) => contrast(node.branch)) },
          insidetextorientation: "auto",
          text: nodes.map((node) => lines(node.name, ...node.said)),
          textinfo: "label",
          hovertemplate: "%{text}<extra></extra>",
          sort: false,
        }], { ...layout(), margin: { l: 8, r: 8, t: 8, b: 8 } }, config);
      };
      const modality = choice(plot, "modality", names, show);
      show();
      return show;
    },

    items(plot) {
      const { titles, spaces } = data.items;
      const names = Object.keys(spaces);
      const canvas = plot.querySelector(".canvas");
      let camera = { eye: { x: 1.2, y: 1.2, z: 0.8 } };
      const size = titles.length > 5000 || canvas.clientWidth < 700 ? 2.5 : 3.5;
      // The items by their strongest intent, the largest group first.
      const grouped = (space, at) => {
        if (!space.levels.length) return [{ name: "", items: titles.map((_, item) => item) }];
        const { strongest, intents } = space.levels[at];
        const groups = intents.map((name) => ({ name, items: [] }));
        strongest.forEach((intent, item) => groups[intent].items.push(item));
        return groups.filter((one) => one.items.length).sort((one, other) => other.items.length - one.items.length);
      };
      const trace = (space) => ({ name, items }, index) => ({
        type: "scatter3d", mode: "markers", name: plain(short(name, 40)),
        marker: { size, color: color(index), symbol: symbols[Math.floor(index / colors.length) % symbols.length], opacity: 0.85, line: { width: 0 } },
        ...Object.fromEntries(["x", "y", "z"].map((axis) => [axis, items.map((i) => space[axis][i])])),
        text: items.map((i) => lines(titles[i], name)), hovertemplate: "%{text}<extra></extra>",
      });
      const label = (space) => ({ name, items }) => ({
        ...Object.fromEntries(["x", "y", "z"].map((axis) => [axis, items.map((i) => space[axis][i]).sort((a, b) => a - b)[items.length >> 1]])),
        text: plain(short(name.split(", ").slice(0, 2).join(", "), 28)), showarrow: false,
        font: { size: 12, color: style("--ink") }, bgcolor: style("--paper"), opacity: 0.85, borderpad: 2,
      });
      const show = () => {
        const space = spaces[names[modality.value]];
        const at = Math.min(level.value, Math.max(space.levels.length - 1, 0));
        const narrow = canvas.clientWidth < 700;
        const axis = { title: { text: "" }, showticklabels: false, showspikes: false, gridcolor: style("--line"), zerolinecolor: style("--line"), showbackground: false };
        const groups = grouped(space, at);
        const annotations = space.levels.length ? groups.slice(0, narrow ? 5 : 8).map(label(space)) : [];
        Plotly.react(canvas, groups.map(trace(space)), {
          ...layout(),
          scene: { xaxis: axis, yaxis: axis, zaxis: axis, camera, annotations, aspectmode: "cube", domain: narrow ? { x: [0, 1], y: [0.28, 1] } : { x: [0, 0.72], y: [0, 1] } },
          showlegend: space.levels.length > 0,
          legend: narrow ? { orientation: "h", y: 0.26, yanchor: "top", font: { size: 11 }, itemsizing: "constant" } : { x: 0.73, y: 1, font: { size: 11 }, itemsizing: "constant" },
        }, config);
      };
      const levels = () => spaces[names[modality.value]].levels.map((one) => one.level);
      const offer = () => {
        level.select.replaceChildren(...levels().map((name, index) => new Option(name, index)));
        level.select.value = Math.max(levels().length - 1, 0);
        level.wrapped.hidden = levels().length < 2;
      };
      const modality = choice(plot, "modality", names, () => { offer(); show(); });
      const level = choice(plot, "level", levels(), show);
      if (!level.wrapped.isConnected) plot.querySelector(".controls").append(level.wrapped);
      offer();
      show();
      canvas.on("plotly_relayout", (change) => { camera = change["scene.camera"] ?? camera; });
      canvas.addEventListener("keydown", (event) => {
        const turn = { ArrowLeft: [0.15, 0], ArrowRight: [-0.15, 0], ArrowUp: [0, 0.15], ArrowDown: [0, -0.15] }[event.key];
        if (!turn) return;
        event.preventDefault();
        const { x, y, z } = camera.eye;
        const radius = Math.hypot(x, y, z);
        const around = Math.atan2(y, x) + turn[0];
        const above = Math.max(-1.4, Math.min(1.4, Math.asin(z / radius) + turn[1]));
        camera = { ...camera, eye: { x: radius * Math.cos(above) * Math.cos(around), y: radius * Math.cos(above) * Math.sin(around), z: radius * Math.sin(above) } };
        Plotly.relayout(canvas, { "scene.camera": camera });
      });
      return show;
    },
  };

  function load() {
    const library = document.createElement("script");
    library.textContent = document.getElementById("library").textContent;
    document.head.append(library); // runs at once; the page's policy knows its hash
    data = JSON.parse(document.getElementById("data").textContent);
  }

  function reveal(plot) {
    plot.hidden = false;
    try {
      if (data === null) load();
      const redraw = draw[plot.dataset.draws](plot);
      plot.classList.add("drawn");
      dark.addEventListener("change", redraw);
    } catch (error) {
      plot.hidden = true; // the still picture stays
      console.warn(error);
    }
  }

  document.querySelectorAll("table").forEach(sortable);
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      near.unobserve(entry.target);
      reveal(entry.target.previousElementSibling);
    }
  }, { rootMargin: "600px" });
  document.querySelectorAll(".plot").forEach((plot) => near.observe(plot.nextElementSibling));
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
})();
