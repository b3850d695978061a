/// A linear router and what it is given: `θ = W x + b`. Jitter on the input needs it.
public struct RouterInput: Sendable, Equatable {
  /// W, `[experts][width]`.
  public let weights: Matrix
  /// b, `[experts]`.
  public let biases: [Double]
  /// x, `[width]`.
  public let input: [Double]

  /// A router and its input.
  ///
  /// - Throws: `InvalidInput` if lengths disagree, there is no expert, or an entry is not finite.
  public init(weights: [[Double]], biases: [Double]? = nil, input: [Double]) throws(InvalidInput) {
    guard !weights.isEmpty else { throw InvalidInput("weight", "expected at least one row, got none") }
    try requireFinite(rows: weights, count: weights.count, width: input.count, "weight")
    try requireFinite(input, "input")
    if let biases { try requireFinite(biases, count: weights.count, "bias") }
    self.weights = Matrix(rows: weights, columns: input.count)
    self.biases = biases ?? weights.map { _ in 0 }
    self.input = input
  }

  /// The number of experts.
  package var experts: Int { weights.rows }

  /// `θ = W (x ∘ u) + b`, `[experts]`.
  package func logits(factors u: [Double]) -> [Double] {
    let jittered = zip(input, u).map { $0 * $1 }
    return (0..<experts).map { dot(weights.row($0), jittered) + biases[$0] }
  }

  /// `W x + b`, what the router says without jitter.
  package var logits: [Double] { logits(factors: input.map { _ in 1 }) }
}

extension RouterInput {
  /// What rounding in Float32 may leave between logits and `W x + b`, relative to `Σ_j |W_ij x_j| + |b_i|`: logits
  /// that another framework computed are not refused, those of another token are.
  static let logitTolerance = 0x1p-16

  /// - Throws: `InvalidInput` if the logits are not those of this router.
  func requireLogits(_ given: [Double]) throws(InvalidInput) {
    guard experts == given.count else {
      throw InvalidInput("router.weight", "expected \(given.count) rows, got \(experts)")
    }
    for (i, logit) in logits.enumerated() {
      let size = zip(weights.row(i), input).reduce(biases[i].magnitude) { $0 + ($1.0 * $1.1).magnitude }
      guard (logit - given[i]).magnitude <= Self.logitTolerance * size else {
        throw InvalidInput("router", "expected weight·input + bias to give logits[\(i)] = \(given[i]), got \(logit)")
      }
    }
  }
}
