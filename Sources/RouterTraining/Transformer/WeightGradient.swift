import LayerTensors
import MixtureOfExperts
import RoutingCore

/// The gradient of a linear map's weights, `dW = dyᵀ x`, and biases over all rows of a batch, by tiles of outputs: a tile's
/// products are the same whoever computes them.
struct WeightGradient<Scalar: TransformerScalar> {
  let dy: UnsafePointer<Scalar>
  let x: UnsafePointer<Scalar>
  let gradient: LinearMap<Scalar>

  static var tile: Int { 128 }

  var tiles: Int { (gradient.outputs + Self.tile - 1) / Self.tile }

  func run(_ tile: Int, rows: Int) {
    let (inputs, outputs) = (gradient.inputs, gradient.outputs)
    let first = tile * Self.tile
    let count = min(Self.tile, outputs - first)
    Scalar.multiply(
      MatrixView(dy + first, stride: outputs, transposed: true), MatrixView(x, stride: inputs), rows: count,
      columns: inputs, depth: rows, alpha: 1, beta: 0, into: gradient.weights.elements + first * inputs,
      stride: inputs)
    Scalar.columnSums(
      dy + first, rows: rows, columns: count, stride: outputs, into: gradient.biases.elements + first)
  }

  /// Runs several, every tile a task.
  static func run(_ list: [(gradient: WeightGradient, rows: Int)], threads: Int) {
    concurrently(list.reduce(0) { $0 + $1.gradient.tiles }, threads: threads) { task in
      var tile = task
      for (gradient, rows) in list {
        if tile < gradient.tiles { return gradient.run(tile, rows: rows) }
        tile -= gradient.tiles
      }
    }
  }
}

/// The gradients of a LayerNorm's scale and shift: a sum for each group of rows, added up in order.
struct NormGradient<Scalar: TransformerScalar> {
  /// `[groups, 2 width]`.
  let parts: Tensor<Scalar>
  let width: Int

  init(width: Int, groups: Int) {
    self.width = width
    parts = Tensor(rows: groups, columns: 2 * width)
  }

  /// The sums of a group, zero to begin with.
  func begin(_ group: Int) -> (gain: UnsafeMutablePointer<Scalar>, bias: UnsafeMutablePointer<Scalar>) {
    let row = parts.elements + group * 2 * width
    row.update(repeating: 0, count: 2 * width)
    return (row, row + width)
  }

  func finish(_ groups: Int, to gradient: NormParameters<Scalar>) {
    Scalar.columnSums(
      parts.elements, rows: groups, columns: width, stride: 2 * width, into: gradient.gain.elements)
    Scalar.columnSums(
      parts.elements + width, rows: groups, columns: width, stride: 2 * width, into: gradient.bias.elements)
  }
}

/// A LayerNorm with what it keeps for its way back.
struct Norm<Scalar: TransformerScalar> {
  let parameters: NormParameters<Scalar>
  let output: Tensor<Scalar>
  private let means, inverses: Tensor<Scalar>
  private let width: Int

  init(_ parameters: NormParameters<Scalar>, rows: Int) {
    self.parameters = parameters
    width = parameters.gain.columns
    output = Tensor(rows: rows, columns: width)
    means = Tensor(rows: rows, columns: 1)
    inverses = Tensor(rows: rows, columns: 1)
  }

  /// Normalises some rows of x into the output.
  func forward(_ x: UnsafePointer<Scalar>, _ rows: Range<Int>) {
    let first = rows.lowerBound
    Scalar.normalise(
      x + first * width, rows: rows.count, width: width, gain: parameters.gain.elements,
      bias: parameters.bias.elements, to: output.elements + first * width, means: means.elements + first,
      inverses: inverses.elements + first)
  }

  /// Adds to `dx` what `dy` gives.
  func backward(
    _ dy: UnsafePointer<Scalar>, x: UnsafePointer<Scalar>, _ rows: Range<Int>, group: Int,
    sums: NormGradient<Scalar>, addTo dx: UnsafeMutablePointer<Scalar>
  ) {
    let first = rows.lowerBound
    let (gain, bias) = sums.begin(group)
    Scalar.normaliseBackward(
      dy + first * width, x: x + first * width, rows: rows.count, width: width, gain: parameters.gain.elements,
      means: means.elements + first, inverses: inverses.elements + first, addTo: dx + first * width, gainSum: gain,
      biasSum: bias)
  }
}

/// Which outputs of a sublayer are dropped in a step.
struct Dropout<Scalar: TransformerScalar> {
  /// 0 or 1/(1 − p), `[rows, width]`; nil if nothing is ever dropped.
  private let mask: Tensor<Scalar>?
  private let width, site: Int
  /// p in 2¹⁶ths.
  private let dropped: Int

  init(_ p: Double, rows: Int, width: Int, site: Int) {
    dropped = Int((p * 65536).rounded())
    mask = dropped > 0 ? Tensor(rows: rows, columns: width) : nil
    self.width = width
    self.site = site
  }

  /// Draws the mask of a group's rows; nil where nothing is dropped, and at evaluation.
  func draw(_ group: Int, _ rows: Range<Int>, _ randomness: StepRandomness?) -> UnsafePointer<Scalar>? {
    guard let mask, let randomness else { return nil }
    let place = mask.elements + rows.lowerBound * width
    Scalar.dropoutMask(
      place, count: rows.count * width, seed: randomness.seed,
      stream: RandomStream.dropout(step: randomness.step, site: site, group: group), dropped: dropped,
      kept: Scalar(65536 / Double(65536 - dropped)))
    return UnsafePointer(place)
  }

  /// The mask that the forward pass has drawn.
  func drawn(_ rows: Range<Int>, isTraining: Bool) -> UnsafePointer<Scalar>? {
    guard let mask, isTraining else { return nil }
    return UnsafePointer(mask.elements + rows.lowerBound * width)
  }
}
