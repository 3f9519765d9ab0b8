// A table with a search box over it. Rows are made as they come into view, so that thousands of them cost nothing.

const ROWS_AT_ONCE = 60;
const SIZE = /^size([<>])(\d+(?:\.\d+)?)([kmg]?)b?$/;
const FACTOR = { "": 1, k: 1e3, m: 1e6, g: 1e9 };

/**
 * What a search asks for: all of its words. `word` is looked for everywhere, `key:word` in one field, `size>1MB` compares.
 * A row's fields are arrays of text in `row.fields`, all folded.
 */
function parseSearch(text, keys) {
  const words = [];
  const tests = text.trim().split(/\s+/).filter(Boolean).map((token) => {
    const size = SIZE.exec(token.toLowerCase());
    if (size) {
      const limit = Number(size[2]) * FACTOR[size[3]];
      return size[1] === ">" ? (row) => row.size > limit : (row) => row.size < limit;
    }
    const colon = token.indexOf(":");
    const key = token.slice(0, Math.max(0, colon)).toLowerCase();
    const word = folded(keys.includes(key) ? token.slice(colon + 1) : token);
    words.push(word);
    const holds = (texts) => texts.some((field) => field.includes(word));
    return keys.includes(key) ? (row) => holds(row.fields[key]) : (row) => keys.some((name) => holds(row.fields[name]));
  });
  return { words, matches: (row) => tests.every((test) => test(row)) };
}

/** How well a row's own name is what was searched for: 0 is it, 1 contains it, 2 is another. */
function rank(row, words) {
  const label = folded(row.label);
  return words.includes(label) ? 0 : words.some((word) => label.includes(word)) ? 1 : 2;
}

/**
 * Options: `name` and `noun` for people; `keys` to search in; `chips` [label, test]; `columns` of {label, cell(row, words),
 * by(row) to sort, width, number}; `rows`, each with a
 * `label`; `detail(row)`: what a row opens to; `help`: said over the box.
 */
function searchTable(options) {
  const state = { chip: 0, column: -1, down: false, rows: options.rows, words: [], drawn: 0 };
  const input = h("input", {
    type: "search", id: `${options.name}-search`, placeholder: options.placeholder, autocomplete: "off",
    autocapitalize: "off", spellcheck: "false", "aria-label": `Search the ${options.noun[1]}`, oninput: () => update(),
  });
  const numbers = options.chips.map(() => h("span"));
  const chips = options.chips.map(([label], at) =>
    h("button", { type: "button", class: "chip", onclick: () => { state.chip = at; update(); } }, label, numbers[at]));
  const found = h("div", { role: "status", class: "found" });
  const body = h("tbody");
  const more = h("button", { type: "button", class: "button more", onclick: () => draw() }, "Show more");
  const heads = options.columns.map((column, at) =>
    h("th", { scope: "col", class: column.number && "number" },
      h("button", { type: "button", onclick: () => sortBy(at) }, column.label)));
  options.columns.forEach((column, at) => { heads[at].style.width = column.width; });
  const table = h("table", { class: "stacks", id: `${options.name}-table` },
    h("caption", { class: "visually-hidden" }, options.caption), h("thead", null, h("tr", null, heads)), body);

  function sortBy(at) {
    const first = options.columns[at].number === true;
    state.down = state.column === at ? !state.down : first;
    state.column = at;
    update();
  }

  function update() {
    const search = parseSearch(input.value, options.keys);
    const hits = options.rows.filter(search.matches);
    const kinds = options.chips.map(([, test]) => hits.filter(test));
    kinds.forEach((rows, at) => { numbers[at].textContent = rows.length.toLocaleString("en"); });
    state.words = search.words;
    state.rows = kinds[state.chip];
    if (state.column < 0 && search.words.length) {
      state.rows.sort((a, b) => rank(a, search.words) - rank(b, search.words));
    } else if (state.column >= 0) {
      const { by } = options.columns[state.column];
      const sign = state.down ? -1 : 1;
      state.rows.sort((a, b) => (by(a) < by(b) ? -sign : by(a) > by(b) ? sign : 0));
    }
    chips.forEach((chip, at) => chip.setAttribute("aria-pressed", String(at === state.chip)));
    heads.forEach((head, at) => {
      head.setAttribute("aria-sort", at !== state.column ? "none" : state.down ? "descending" : "ascending");
    });
    found.textContent = state.rows.length ? options.summary(state.rows) : `No ${options.noun[0]} matches`;
    state.drawn = 0;
    body.replaceChildren();
    draw();
  }

  function draw() {
    const next = state.rows.slice(state.drawn, state.drawn + ROWS_AT_ONCE);
    state.drawn += next.length;
    body.append(...next.map(rowOf));
    more.hidden = state.drawn >= state.rows.length;
  }

  function rowOf(row) {
    const cells = options.columns.map((column) =>
      h("td", { class: column.number && "number", "data-label": column.bare ? null : column.label }, column.cell(row, state.words)));
    const line = h("tr", null, cells);
    const opener = options.detail && line.querySelector(".opens");
    if (opener) opener.addEventListener("click", () => toggle(line, opener, row));
    return line;
  }

  function toggle(line, opener, row) {
    const open = opener.getAttribute("aria-expanded") !== "true";
    opener.setAttribute("aria-expanded", String(open));
    line.classList.toggle("open", open);
    if (open) line.after(h("tr", { class: "detail" }, h("td", { colspan: options.columns.length }, options.detail(row))));
    else line.nextElementSibling.remove();
  }

  new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting) && !more.hidden) draw();
  }, { rootMargin: "600px" }).observe(more);
  update();

  return {
    node: [
      options.help && h("p", null, options.help),
      h("div", { class: "search", role: "search" }, input,
        h("div", { class: "chips", role: "group", "aria-label": "Show only" }, chips), found),
      table, more,
    ],
    /** Search for something else, and go there. */
    search(text) {
      state.chip = 0;
      input.value = text;
      update();
      document.getElementById(options.name).scrollIntoView();
      input.focus({ preventScroll: true });
    },
  };
}
