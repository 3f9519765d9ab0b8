// What everything else uses: making elements, and saying numbers as rosk says them.

const data = JSON.parse(document.getElementById("data").textContent);

/** An element. Attributes are set as they are, `onclick` and the like are listeners; text never becomes markup. */
function h(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return node;
}

/** Bytes: `812 B`, `4.2 MB`. */
function bytes(size) {
  let number = size;
  for (const unit of ["B", "kB", "MB"]) {
    if (number < 1000) return `${unit === "B" || number >= 100 ? Math.round(number) : number.toFixed(1)} ${unit}`;
    number /= 1000;
  }
  return `${number.toFixed(1)} GB`;
}

/** Seconds: `0.4s`, `12s`, `3m05s`, `1h02m`. */
function duration(seconds) {
  if (seconds < 9.95) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  const two = (number) => String(number).padStart(2, "0");
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`;
  return `${Math.floor(whole / 3600)}h${two(Math.floor((whole % 3600) / 60))}m`;
}

function count(number, one, many) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many || `${one}s`}`;
}

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
const fileName = (path) => path.slice(path.lastIndexOf("/") + 1);
const folderOf = (path) => path.slice(0, Math.max(0, path.lastIndexOf("/")));
const moduleName = (path) => fileName(path).replace(/\.ko$/, "");

/** Text as searches compare it: lower case, and `-` and `_` equal, as kmod has it. */
const folded = (text) => text.toLowerCase().replaceAll("-", "_");

/** Text with the searched words marked. */
function marked(text, words) {
  const plain = folded(text);
  if (!words.length || plain.length !== text.length) return [text];
  const found = new Array(text.length).fill(false);
  for (const word of words) {
    for (let at = plain.indexOf(word); word && at >= 0; at = plain.indexOf(word, at + 1)) found.fill(true, at, at + word.length);
  }
  const parts = [];
  for (let start = 0; start < text.length; ) {
    let end = start;
    while (end < text.length && found[end] === found[start]) end += 1;
    parts.push(found[start] ? h("mark", null, text.slice(start, end)) : text.slice(start, end));
    start = end;
  }
  return parts;
}

/** A list of a term and what belongs to it; those without anything are left out. */
function pairs(entries) {
  const shown = entries.filter(([, value]) => value !== undefined && value !== null && value !== "" && value.length !== 0);
  return h("dl", { class: "pairs" }, shown.map(([term, value]) => [h("dt", null, term), h("dd", null, value)]));
}

const command = (text) => h("code", null, text);
