import RoutingCore

/// A router that is not ours, driven call by call with its random draws forced.
///
/// A conforming type need not be a router itself: it may pass calls on to another process (`routegrad lint` does).
public protocol ForeignRouter {
  /// What the router says of itself.
  var profile: RouterProfile { get }

  /// Routes a batch of tokens, forward and backward.
  ///
  /// - Throws: ``RouterFailure`` if there is no answer; that ends the battery.
  func route(_ call: RouterCall) throws(RouterFailure) -> RouterAnswer
}

/// A router that is a Swift closure.
public struct ClosureRouter: ForeignRouter {
  public let profile: RouterProfile
  private let body: (RouterCall) throws(RouterFailure) -> RouterAnswer

  /// A router with this profile that answers what the closure returns.
  public init(
    _ profile: RouterProfile, _ body: @escaping (RouterCall) throws(RouterFailure) -> RouterAnswer
  ) {
    self.profile = profile
    self.body = body
  }

  public func route(_ call: RouterCall) throws(RouterFailure) -> RouterAnswer { try body(call) }
}

/// Why a router gave no answer, or none that can be read.
public struct RouterFailure: Error, Sendable, Equatable, CustomStringConvertible {
  /// One line.
  public let description: String

  /// Says why.
  public init(_ description: String) { self.description = description }
}

/// What a router is asked: T tokens, what every expert makes of them, and the gradient that comes back.
public struct RouterCall: Sendable, Equatable {
  /// Whether noise and sampling are on.
  public var mode: Mode
  /// θ, `[tokens][experts]`; −∞ for an expert that the caller masked. A router that takes an input gets this as its input.
  public var logits: [[Double]]
  /// f, `[tokens][experts][width]`.
  public var expertOutputs: [[[Double]]]
  /// ∂L/∂y, `[tokens][width]`.
  public var upstream: [[Double]]
  /// The uniform draws from [0, 1) that a token takes, `[tokens][uniforms]`.
  public var uniforms: [[Double]]

  /// Training or evaluation.
  public enum Mode: String, Sendable, CaseIterable {
    case train
    case eval
  }

  /// A call.
  public init(
    mode: Mode = .train, logits: [[Double]], expertOutputs: [[[Double]]], upstream: [[Double]], uniforms: [[Double]]
  ) {
    self.mode = mode
    self.logits = logits
    self.expertOutputs = expertOutputs
    self.upstream = upstream
    self.uniforms = uniforms
  }

  /// The number of tokens.
  public var tokens: Int { logits.count }
}

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
  func requireFit(_ call: RouterCall, of profile: RouterProfile) throws(RouterFailure) {
    func require(_ count: Int, _ expected: Int, _ path: String) throws(RouterFailure) {
      if count != expected { throw RouterFailure("\(path): expected \(expected) entries, got \(count)") }
    }
    func require<Entry>(_ rows: [[Entry]]?, of width: (Int) -> Int, _ path: String) throws(RouterFailure) {
      guard let rows else { return }
      try require(rows.count, call.tokens, path)
      for (t, row) in rows.enumerated() { try require(row.count, width(t), "\(path)[\(t)]") }
    }
    try require(choice.count, call.tokens, "choice")
    for (t, row) in choice.enumerated() where row.count > profile.topK {
      throw RouterFailure("choice[\(t)]: expected at most \(profile.topK) experts, got \(row.count)")
    }
    try require(multipliers, of: { choice[$0].count }, "multipliers")
    if gradient == nil, call.mode == .train { throw RouterFailure("gradient: expected in training mode, got none") }
    try require(gradient, of: { _ in profile.experts }, "gradient")
    try require(output, of: { call.upstream[$0].count }, "output")
    try require(dispatch, of: { _ in profile.experts }, "dispatch")
    try require(logitsAfter, of: { _ in profile.experts }, "logitsAfter")
    try require(expertInputs, of: { choice[$0].count }, "expertInputs")
    for (t, rows) in (expertInputs ?? []).enumerated() {
      for (a, row) in rows.enumerated() { try require(row.count, profile.experts, "expertInputs[\(t)][\(a)]") }
    }
  }

  /// The path of the first number that is not finite. A −∞ of the caller's in ``logitsAfter`` is the caller's own.
  var firstNotFinite: String? {
    func find(_ rows: [[Double]]?, _ name: String) -> String? {
      for (t, row) in (rows ?? []).enumerated() {
        if let k = row.firstIndex(where: { !$0.isFinite }) { return "\(name)[\(t)][\(k)]" }
      }
      return nil
    }
    if let auxiliaryLoss, !auxiliaryLoss.isFinite { return "auxiliaryLoss" }
    return find(multipliers, "multipliers") ?? find(gradient, "gradient") ?? find(output, "output")
      ?? find(dispatch, "dispatch")
  }
}
