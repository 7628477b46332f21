// Words for operations: titles, sizes, what a kind does, and PyTorch code that gives an output again.

const KINDS = {
  conv: "convolution", conv_transpose: "transposed convolution", max_pool: "max pooling", avg_pool: "average pooling",
  batch_norm: "batch norm", linear: "linear", add: "sum", multiply: "product", concat: "concatenation", activation: "activation",
  softmax: "softmax", norm: "normalisation", mean: "mean", resize: "resize", reshape: "rearrangement", pad: "padding",
  matmul: "matrix product", attention: "attention", constant: "constant", dropout: "dropout", other: "operation",
};

/** @param {any} operation */
export function kindOf(operation) {
  return KINDS[/** @type {keyof typeof KINDS} */ (operation.kind)] || operation.kind;
}

/** @param {number[]} shape channels, height, width */
export function sizeOf([channels, height, width]) {
  return height * width === 1 ? String(channels) : height === 1 ? `${channels} × ${width}` : `${channels} × ${height} × ${width}`;
}

/** @param {any} operation */
export function titleOf(operation) {
  return operation.kind === "activation" || operation.kind === "other" ? operation.name : kindOf(operation);
}

/**
 * @param {any} pass
 * @param {number} index
 */
export function operationOf(pass, index) {
  return index < 0 ? { index: -1, name: "image", kind: "image", module: "", path: "", use: 0, parents: [], settings: {}, weights: {}, ...pass.image } : pass.operations[index];
}

/**
 * @param {any} pass
 * @param {number} index
 */
export function nameOf(pass, index) {
  if (index < 0) return "the image";
  const operation = pass.operations[index];
  return operation.module ? `${titleOf(operation)} ${operation.module}` : `${titleOf(operation)} (${index})`;
}

/**
 * PyTorch code that gives an output of a run's network again.
 * @param {import("./types.js").Model} model
 * @param {string} image
 * @param {any} operation
 * @param {string} last
 */
export function codeFor(model, image, operation, last) {
  return [
    "from striate.inside.trace import trace",
    "from striate.predict import Predictor",
    "",
    `predictor = Predictor.load(${JSON.stringify(model.title)})  # the run's folder`,
    `image = predictor.inputs([predictor.fitted(${JSON.stringify(image)})])`,
    "found = trace(predictor.network, image)",
    operation.index < 0 ? "maps = found.image" : `maps = found.output(${operation.index})  # ${operation.name} in ${operation.path || "the network"}`,
    last,
    "",
  ].join("\n");
}
