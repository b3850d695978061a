/// What a router answers. What is nil is not reported, and what needs it stays undecided. NaN stands for any number that
/// is not finite.
public struct RouterAnswer: Sendable, Equatable {
  /// The experts of each token, in order of choice, `[tokens][≤ topK]`; fewer where a full expert turned the token away.
  public var choice: [[Int]]
  /// What each chosen expert's output is multiplied by, shaped like ``choice``.
  public var multipliers: [[Double]]
  /// ∂(Σ_t ∂L/∂y_t · y_t)/∂θ, `[tokens][experts]`; may be left out in evaluation mode.
  public var gradient: [[Double]]?
  /// y, `[tokens][width]`.
  public var output: [[Double]]?
  /// The dispatch mask that the forward pass used, `[tokens][experts]`: 1 at the chosen experts, else 0.
  public var dispatch: [[Double]]?
  /// What each chosen expert received, `[tokens][chosen][experts]`, for a router that takes an input.
  public var expertInputs: [[[Double]]]?
  /// The load-balancing loss of the batch.
  public var auxiliaryLoss: Double?
  /// The gradient of ``auxiliaryLoss`` at the logits, `[tokens][experts]`.
  public var auxiliaryGradient: [[Double]]?
  /// The gradient at the logits of the noise's scale, `[tokens][experts]`.
  public var noiseGradient: [[Double]]?
  /// The selection bias after its update, `[experts]`.
  public var biasAfter: [Double]?
  /// The caller's logits (or input) as they are after the call, `[tokens][experts]`.
  public var logitsAfter: [[Double]]?

  /// An answer.
  public init(
    choice: [[Int]], multipliers: [[Double]], gradient: [[Double]]?, output: [[Double]]? = nil,
    dispatch: [[Double]]? = nil, expertInputs: [[[Double]]]? = nil, auxiliaryLoss: Double? = nil,
    logitsAfter: [[Double]]? = nil
  ) {
    self.choice = choice
    self.multipliers = multipliers
    self.gradient = gradient
    self.output = output
    self.dispatch = dispatch
    self.expertInputs = expertInputs
    self.auxiliaryLoss = auxiliaryLoss
    self.logitsAfter = logitsAfter
  }

  /// Throws unless every list has the length that the call asks for; what the numbers are is left to the checks.
  ///
  /// - Parameter gradientsToo: whether an answer in training mode has to have a gradient.
  package func requireFit(
    _ call: RouterCall, of profile: RouterProfile, gradientsToo: Bool = true
  ) throws(RouterFailure) {
    func require(_ count: Int, _ expected: Int, _ path: String) throws(RouterFailure) {
      if count != expected { throw RouterFailure("\(path): expected \(expected) entries, got \(count)") }
    }
    func require<Entry>(_ rows: [[Entry]]?, of width: (Int) -> Int, _ path: String) throws(RouterFailure) {
      guard let rows else { return }
      try require(rows.count, call.tokens, path)
      for (t, row) in rows.enumerated() { try require(row.count, width(t), "\(path)[\(t)]") }
    }
    let most = profile.experts
    try require(choice.count, call.tokens, "choice")
    for (t, row) in choice.enumerated() where row.count > most {
      throw RouterFailure("choice[\(t)]: expected at most \(most) experts, got \(row.count)")
    }
    try require(multipliers, of: { choice[$0].count }, "multipliers")
    if gradient == nil, gradientsToo, call.mode == .train {
      throw RouterFailure("gradient: expected in training mode, got none")
    }
    try require(gradient, of: { _ in profile.experts }, "gradient")
    try require(output, of: { call.upstream[$0].count }, "output")
    try require(dispatch, of: { _ in profile.experts }, "dispatch")
    try require(auxiliaryGradient, of: { _ in profile.experts }, "auxiliaryGradient")
    try require(noiseGradient, of: { _ in profile.experts }, "noiseGradient")
    if let biasAfter { try require(biasAfter.count, profile.experts, "biasAfter") }
    try require(logitsAfter, of: { _ in profile.experts }, "logitsAfter")
    try require(expertInputs, of: { choice[$0].count }, "expertInputs")
    for (t, rows) in (expertInputs ?? []).enumerated() {
      for (a, row) in rows.enumerated() { try require(row.count, profile.experts, "expertInputs[\(t)][\(a)]") }
    }
  }

  /// The path of the first number that is not finite. A −∞ of the caller's in ``logitsAfter`` is the caller's own.
  package var firstNotFinite: String? {
    func find(_ rows: [[Double]]?, _ name: String) -> String? {
      for (t, row) in (rows ?? []).enumerated() {
        if let k = row.firstIndex(where: { !$0.isFinite }) { return "\(name)[\(t)][\(k)]" }
      }
      return nil
    }
    if let auxiliaryLoss, !auxiliaryLoss.isFinite { return "auxiliaryLoss" }
    return find(multipliers, "multipliers") ?? find(gradient, "gradient") ?? find(output, "output")
      ?? find(dispatch, "dispatch") ?? find(auxiliaryGradient, "auxiliaryGradient")
      ?? find(noiseGradient, "noiseGradient") ?? find(biasAfter.map { [$0] }, "biasAfter")
  }
}
