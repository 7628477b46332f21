"use strict";
const token = new URLSearchParams(location.hash.slice(1)).get("token");
const headers = token ? { Authorization: `Bearer ${token}` } : {};
const answers = document.getElementById("answers");

function element(name, text, parent) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

async function asked(path, options = {}) {
  const reply = await fetch(path, { ...options, headers: { ...headers, ...options.headers } });
  const found = await reply.json();
  if (!reply.ok) throw new Error([found.error.what, found.error.fix].filter(Boolean).join(": "));
  return found;
}

function show(found, place) {
  const shares = Object.entries(found.probabilities ?? found.shares ?? {}).sort((a, b) => b[1] - a[1]).slice(0, 5);
  for (const [name, share] of shares) {
    const row = element("div", undefined, place);
    row.className = "row";
    element("span", name, row);
    const meter = element("meter", undefined, row);
    meter.value = share;
    element("span", `${(100 * share).toFixed(1)} %`, row);
  }
  if (!shares.length) element("pre", JSON.stringify(found, null, 1), place);
}

async function predict(file) {
  const item = element("li", undefined, answers);
  const image = element("img", undefined, item);
  const place = element("div", undefined, item);
  image.src = URL.createObjectURL(file);
  image.alt = "";
  element("strong", file.name, place);
  try {
    show(await asked("/predict", { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" } }), place);
  } catch (problem) {
    element("p", problem.message, place).className = "error";
  }
}

async function all(files) {
  answers.replaceChildren();
  for (const file of files) await predict(file);
}

const drop = document.querySelector(".drop");
document.getElementById("files").addEventListener("change", (event) => all(event.target.files));
for (const name of ["dragover", "dragleave", "drop"])
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", name === "dragover");
    if (name === "drop") all(event.dataTransfer.files);
  });
const bearer = token ? `-H "Authorization: Bearer ${token}" ` : "";
document.getElementById("example").textContent = `curl ${bearer}--data-binary @photo.jpg ${location.origin}/predict`;
asked("/info")
  .then((found) => {
    document.getElementById("about").textContent =
      `${found.model} on ${found.data}, ${found.size_hw.join(" x ")} px, by ${found.engine}: ${found.names.slice(0, 12).join(", ")}`;
    document.body.dataset.ready = "yes";
  })
  .catch((problem) => {
    document.getElementById("about").textContent = problem.message;
  });
