import RoutingCore

/// A router as a layer: which experts each token goes to, what their outputs are multiplied by, and what gradient the
/// logits get.
///
/// A router is a value and keeps nothing between calls but what it writes into the ``TokenRoute``. Its gradient is a
/// sample of one of the estimators of `RoutingEstimators`, where there is one.
package protocol TokenRouter: Sendable {
  /// The name in settings and files.
  static var id: String { get }
  /// The number of expert evaluations of a token.
  func slots(experts: Int) -> Int
  /// The number of experts of a token that a capacity counts.
  func choices(experts: Int) -> Int
  /// The numbers kept for the way back.
  func memory(experts: Int) -> Int
  /// The number of outputs of a token: 1, or one for each expert if the loss is to be evaluated on every one.
  func candidates(experts: Int) -> Int
  /// The numbers that a backward pass is given of each token: its loss, or one for each candidate or expert.
  func lossCount(experts: Int) -> Int
  /// r, if the router reads its input times U[1−r, 1+r]; else 0.
  var inputJitter: Double { get }
  /// The decay of the running means that stand in for experts not chosen; nil without stand-ins.
  var standInDecay: Double? { get }
  /// Decides over all tokens together, before ``route(_:_:)``; only balanced assignment does.
  func assign(_ logits: UnsafePointer<Double>, tokens: Int, experts: Int, to choices: UnsafeMutablePointer<Int32>)
    throws(Refusal)
  /// Whether ``assign(_:tokens:experts:to:)`` decides.
  var decidesJointly: Bool { get }
  /// Routes a token. Without random numbers: as at evaluation, the most probable expert in full.
  func route(_ token: TokenRoute, _ random: inout Philox?)
  /// Writes the gradient of the logits.
  func differentiate(_ token: TokenRoute)
  /// Writes, into a gradient of zeros, what the logits get if every expert's output has a slope `c_i = ∂L/∂y · (ω ⊙ f_i)`, `[experts]`,
  /// times the derivative of the gate that i has or would have: `J(p) c` where gates are probabilities. Linear in c.
  func differentiateDensely(_ token: TokenRoute, slopes: UnsafePointer<Double>)
}

extension TokenRouter {
  package func slots(experts: Int) -> Int { 1 }
  package func choices(experts: Int) -> Int { min(slots(experts: experts), 2) }
  package func memory(experts: Int) -> Int { 0 }
  package func candidates(experts: Int) -> Int { 1 }
  package func lossCount(experts: Int) -> Int { candidates(experts: experts) }
  package var inputJitter: Double { 0 }
  package var standInDecay: Double? { nil }
  package var decidesJointly: Bool { false }
  package func differentiateDensely(_ token: TokenRoute, slopes: UnsafePointer<Double>) {
    token.addJacobianProduct(slopes, p: token.probabilities)
  }
  package func assign(
    _ logits: UnsafePointer<Double>, tokens: Int, experts: Int, to choices: UnsafeMutablePointer<Int32>
  ) throws(Refusal) {}
}
