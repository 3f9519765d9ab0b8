// What is said at the top, the notices, the proofs, and how to get the same again.

const LABELS = { ok: "good", failed: "bad", skipped: "dim", unchecked: "warn" };
const KIND_TITLES = {
  "module-not-built": "Listed modules that were not built",
  "softdep-in-extra": "Soft dependencies of the kernel package that are in the extras",
  "firmware-missing": "Modules that ask for firmware which does not ship",
  "firmware-absent": "Listed firmware that does not ship",
  "config-dropped": "Options that did not come out as asked",
  "config-localversion": "The suffix of the release",
  "not-reproducible": "Options that make builds differ",
  "compiler-cache": "Compiler cache",
  cache: "Shared caches",
  depmod: "What depmod says",
};

const outputSize = (test) => data.outputs.filter((file) => test.test(fileName(file.name)) && file.size).map((file) => bytes(file.size))[0];

function drawHead() {
  const { source, toolchain, modules, config } = data;
  const from = [source.from, source.package_version].filter(Boolean).join(" ");
  const compiler = (toolchain.packages || {}).gcc;
  const day = data.epoch ? new Date(data.epoch * 1000).toISOString().slice(0, 10) : "";
  const of = (kind) => modules.filter((row) => row.package === kind).length;
  const on = config.options.filter((row) => row.value !== "n").length;
  const stages = data.stages.filter((stage) => stage.ended);
  const steps = data.stages.filter((stage) => stage.name !== "export");
  const ran = steps.filter((stage) => stage.state === "ran").length;
  const fact = (term, value, more) => value && h("div", null, h("dt", null, term), h("dd", null, value, more && h("small", null, more)));
  return [
    h("h1", null, `Linux ${data.release}`),
    h("p", null, [data.arch, from, compiler && `gcc ${compiler}`, day && `source of ${day}`].filter(Boolean).join(" \u00b7 ")),
    h("dl", { class: "facts" },
      fact("Kernel package", outputSize(/^linux-(?!.*-src\.).*$/), count(of("kernel"), "module")),
      fact("Extras package", outputSize(/^extra-linux-/), count(of("extras"), "module")),
      fact("Options", on.toLocaleString("en"), "that are on"),
      stages.length > 0 && fact("Build", duration(Math.max(...stages.map((stage) => stage.ended))), `${ran} of ${steps.length} stages ran`),
      fact("Verified", ...verdict()), fact("Boot test", ...bootVerdict()),
      fact("Notices", data.notices.length.toLocaleString("en"), data.notices.length ? "to look at" : "nothing to look at")),
  ];
}

function verdict() {
  if (!data.verify) return [h("span", { class: "muted" }, "not yet"), "rosk verify"];
  const of = (status) => data.verify.filter((check) => check.status === status).length;
  const open = of("unchecked") ? `, ${of("unchecked")} not done` : "";
  if (of("failed")) return [h("span", { class: "bad-text" }, `${of("failed")} failed`), `of ${count(data.verify.length, "check")}${open}`];
  return [h("span", { class: "good-text" }, "passed"), `${count(of("ok"), "check")}${open}`];
}

function bootVerdict() {
  if (!data.boot) return [h("span", { class: "muted" }, "not yet"), "rosk boot"];
  const wrong = data.boot.checks.filter((check) => !check.ok).length;
  if (!data.boot.ok) return [h("span", { class: "bad-text" }, "failed"), wrong ? `${wrong} of ${count(data.boot.checks.length, "check")}` : ""];
  return [h("span", { class: "good-text" }, "boots"), data.boot.seconds && `in ${duration(data.boot.seconds)}`];
}

function drawNotices() {
  const kinds = new Map();
  for (const notice of data.notices) kinds.set(notice.kind, [...(kinds.get(notice.kind) || []), notice]);
  const line = (notice) => h("li", null, notice.where && h("code", { class: "muted" }, `${notice.where} `), notice.what);
  const groups = [...kinds].map(([kind, notices]) => h("details", { open: notices.length <= 3 },
    h("summary", null, KIND_TITLES[kind] || kind, " ", h("span", { class: "muted" }, `(${notices.length})`)),
    h("ul", { class: "lines" }, notices.map(line))));
  return h("div", { class: "stack" }, groups);
}

function drawProofs() {
  return [h("h3", null, "Verification"), drawVerify(), h("h3", null, "Boot test"), drawBoot()];
}

function drawVerify() {
  if (!data.verify) return h("p", { class: "note" }, "This release was not verified: ", command("rosk verify"), " looks at its bytes, check by check.");
  const order = ["failed", "unchecked", "ok", "skipped"];
  const checks = data.verify.slice().sort((a, b) => order.indexOf(a.status) - order.indexOf(b.status));
  const row = (check) => h("tr", null,
    h("td", { "data-label": "Result" }, h("span", { class: `pill ${LABELS[check.status]}` }, check.status === "unchecked" ? "not done" : check.status)),
    h("td", { "data-label": "Check" }, h("code", null, check.name)),
    h("td", null, check.saw, check.meaning && check.status === "failed" && h("div", { class: "bad-text" }, check.meaning),
      check.details && h("details", { open: check.status === "failed" && check.details.length <= 10 },
        h("summary", null, count(check.details.length, "detail")), h("ul", { class: "lines" }, check.details.map((text) => h("li", null, text))))));
  const heads = ["Result", "Check", "What was seen"].map((label) => h("th", { scope: "col" }, label));
  return h("table", { class: "stacks", id: "checks" }, h("thead", null, h("tr", null, heads)), h("tbody", null, checks.map(row)));
}

function drawBoot() {
  if (!data.boot) return h("p", { class: "note" }, "This kernel was not booted: ", command("rosk boot"), " boots it in a virtual machine and loads its modules.");
  const { ok, seconds, checks, accel, diagnosis } = data.boot;
  const tried = data.modules.filter((row) => row.boot !== undefined);
  const states = new Map();
  for (const row of tried) {
    const state = row.boot.split(":")[0];
    states.set(state, (states.get(state) || 0) + 1);
  }
  const items = checks.map((check) => h("li", null, h("span", { class: `pill ${check.ok ? "good" : "bad"}` }, check.ok ? "ok" : "failed"), " ",
    h("code", null, check.name), check.why && ` ${check.why}`));
  const how = `${seconds ? `, in ${duration(seconds)}` : ""}${accel ? ` (${accel})` : ""}.`;
  return [
    h("p", { class: ok ? "good-text" : "bad-text" }, ok ? `It boots${how}` : diagnosis ? diagnosis.what : "It does not boot."),
    diagnosis && diagnosis.details.length > 0 && h("pre", { tabindex: "0" }, diagnosis.details.join("\n")),
    diagnosis && diagnosis.hint && h("p", { class: "muted" }, diagnosis.hint),
    h("ul", { id: "boot-checks", class: "results" }, items),
    tried.length > 0 && h("p", { class: "muted" }, "Modules tried: ", [...states].map(([state, number]) => `${number} ${state}`).join(", "), "."),
    tried.length > 0 && bootTrouble(tried),
  ];
}

/** The modules that gave a reason for not loading. */
function bootTrouble(tried) {
  const said = tried.filter((row) => row.boot.includes(": "));
  if (!said.length) return null;
  return h("details", null, h("summary", null, `${count(said.length, "module")} with a reason`),
    h("ul", { class: "lines" }, said.map((row) => h("li", null, h("code", null, row.path), ` ${row.boot}`))));
}

function copyable(text) {
  const code = h("code", null, text);
  const done = h("button", { type: "button", class: "button", onclick: copy }, "Copy");
  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
      done.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
    }
  }
  return h("div", { class: "command" }, code, done);
}

function drawReproduce() {
  const { source, toolchain, inputs, outputs, images, settings, firmware } = data;
  const packages = Object.entries(toolchain.packages || {});
  const digests = (files) => h("ul", null, files.map((file) => h("li", null, h("code", null, file.name), " ", h("span", { class: "muted" }, bytes(file.size || 0)),
    file.sha256 && h("div", { class: "digest" }, file.sha256))));
  const fold = (title, body) => h("details", null, h("summary", null, title), body);
  return [
    data.reproduce
      ? [h("p", null, "In the project's folder, with the inputs below, this gives the same packages and images to the bit:"), copyable(data.reproduce)]
      : h("p", { class: "note" }, "This folder has no manifest.json that says how it was made."),
    h("p", null, "To prove it, ", command("rosk repro"), "; to see that these files are whole, ", command("sha256sum -c SHA256SUMS"), "."),
    pairs([
      ["Source", [source.from, source.package_version && ` ${source.package_version}`, source.sha256 && h("div", { class: "digest" }, source.sha256)]],
      ["Toolchain", toolchain.base && [command(toolchain.base), h("div", { class: "digest" }, toolchain.base_digest)]],
      ["Firmware", firmware.revision && [firmware.revision, ` (${count(firmware.files.length, "file")})`]],
    ]),
    h("div", { class: "stack" },
      outputs.length > 0 && fold(`Outputs (${outputs.length})`, digests(outputs)),
      Object.keys(images).length > 0 && fold(`Images (${Object.keys(images).length})`, h("ul", null, Object.entries(images).map(([tag, digest]) =>
        h("li", null, h("code", null, tag), h("div", { class: "digest" }, digest))))),
      inputs.length > 0 && fold(`Inputs of the project (${inputs.length})`, digests(inputs)),
      packages.length > 0 && fold(`Packages of the toolchain (${packages.length})`, h("ul", { class: "columns" }, packages.map(([name, version]) =>
        h("li", null, h("span", null, name), h("span", null, version))))),
      Object.keys(settings).length > 0 && fold("Settings as resolved", h("pre", { tabindex: "0" }, JSON.stringify(settings, null, 1)))),
  ];
}
