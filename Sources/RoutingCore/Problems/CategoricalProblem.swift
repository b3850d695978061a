/// A categorical problem: an objective f read at the one-hot `I_D` of a sampled index D ~ softmax(θ).
///
/// `L(θ) = Σ_i π_i f(I_i)`.
///
/// *Source*: the setting of arXiv 2304.08612 (ReinMax).
public struct CategoricalProblem: Sendable {
  /// The problem's name, if it has one.
  public let name: String?
  /// θ, `[experts]`.
  public let logits: [Double]
  /// Where f and its gradient come from.
  public let source: Source

  /// Where the objective's values and gradients come from.
  public enum Source: Sendable {
    /// A function of the one-hot.
    case objective(any Objective)
    /// `f(I_i)`, `[experts]`, and `∇f(I_i)`, `[experts][experts]`, as another program evaluated them.
    case table(values: [Double], gradients: [[Double]])
  }

  /// A categorical problem.
  ///
  /// - Throws: `InvalidInput` if there is no logit, one is not finite, or the source does not fit their number.
  public init(name: String? = nil, logits: [Double], source: Source) throws(InvalidInput) {
    try requireLogits(logits)
    switch source {
    case .objective(let objective):
      guard objective.dimension == logits.count else {
        throw InvalidInput(
          "objective", "expected a function of \(logits.count) variables (one per logit), got \(objective.dimension)")
      }
    case .table(let values, let gradients):
      try requireFinite(values, count: logits.count, "objective.values")
      try requireFinite(
        rows: gradients, count: logits.count, width: logits.count, "objective.gradients")
    }
    self.name = name
    self.logits = logits
    self.source = source
  }

  /// A categorical problem with an objective that this program evaluates.
  public init(name: String? = nil, logits: [Double], objective: any Objective) throws(InvalidInput) {
    try self.init(name: name, logits: logits, source: .objective(objective))
  }
}

/// Throws unless there is at least one logit and all are finite.
func requireLogits(_ logits: [Double]) throws(InvalidInput) {
  guard !logits.isEmpty else { throw InvalidInput("logits", "expected at least one number, got none") }
  try requireFinite(logits, "logits")
}
