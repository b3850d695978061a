internal import RouterSpecifications
import RoutingCore
import RoutingEstimators

/// What experts see of a subject: how they are mixed, and who gets which share of what comes back.
struct ChosenLaw: Hashable, Sendable {
  var mixture: ChosenMixture
  var shares: Shares

  /// The shares of w that experts get.
  enum Shares: Hashable, Sendable {
    /// g of those in A.
    case chosen
    /// g̃ of every expert.
    case dense
    /// The gates of all experts where all are chosen.
    case all
  }

  /// The shares of a token, `[experts]`.
  func shares(_ gates: TokenGates, experts n: Int) -> [Double] {
    let zeros = [Double](repeating: 0, count: n)
    return switch shares {
    case .chosen: gates.spread(over: n)
    case .dense: gates.dense ?? zeros
    case .all: gates.choosingAll?.spread(over: n) ?? zeros
    }
  }
}

/// Whose gradient an audit of a router that chooses finds: an estimator's, or a target.
enum ChosenSubject: Sendable {
  case rule(ChoiceRule)
  case denseMixture

  /// The subject of an estimator on a layer.
  ///
  /// - Throws: `Unavailable` where it does not exist there.
  init(_ estimator: any GradientEstimator, on layer: DumpedLayer, _ specification: RouterSpecification)
    throws(Unavailable)
  {
    guard let rule = (estimator as? any ChoiceEstimator)?.choiceRule else {
      throw Unavailable("needs a router that draws its experts")
    }
    if case .standIns(let count) = rule {
      guard layer.standIns != nil else { throw Unavailable("needs experts.stand_ins") }
      guard count == specification.mostChosen else {
        throw Unavailable("needs k=\(specification.mostChosen), as many experts as the router chooses")
      }
    }
    if rule != .sparse { try Self.requireDenseForm(specification) }
    if rule == .fullSoftmax, !specification.hasSoftmaxGates {
      throw Unavailable("needs gates made of a softmax over all experts")
    }
    self = .rule(rule)
  }

  /// The subject that a target is.
  ///
  /// - Throws: `Unavailable` where it is not defined.
  init(_ target: GradientTarget, _ specification: RouterSpecification) throws(Unavailable) {
    switch target {
    case .expectedLoss, .routingTerm: throw Unavailable("needs a router that draws its experts")
    case .gatingTerm: self = .rule(.sparse)
    case .denseBackward:
      try Self.requireDenseForm(specification)
      self = .rule(.dense(toEveryExpert: true))
    case .denseMixture:
      try Self.requireDenseForm(specification)
      self = .denseMixture
    }
  }

  private static func requireDenseForm(_ specification: RouterSpecification) throws(Unavailable) {
    guard specification.hasDenseForm else {
      throw Unavailable("needs a gate for every expert, \(specification.gateWords) gates have none for those left out")
    }
  }

  /// What experts see of it.
  var law: ChosenLaw {
    switch self {
    case .rule(.dense(toEveryExpert: true)): ChosenLaw(mixture: .chosen, shares: .dense)
    case .rule(.standIns): ChosenLaw(mixture: .standIns, shares: .chosen)
    case .rule: ChosenLaw(mixture: .chosen, shares: .chosen)
    case .denseMixture: ChosenLaw(mixture: .all, shares: .all)
    }
  }

  /// Whether it needs the slopes of experts that are not chosen.
  var needsEveryExpert: Bool {
    switch self {
    case .rule(.sparse), .rule(.standIns): false
    case .rule, .denseMixture: true
    }
  }

  /// ĝ of a token, `[experts]`.
  ///
  /// - Parameters:
  ///   - slopes: `w·f_i` at its mixture, `[experts]`; of experts that are not needed, anything.
  ///   - standIns: `w·m_i`, likewise, where there are stand-ins.
  func gradient(_ gates: TokenGates, slopes: [Double], standIns: [Double]) -> [Double] {
    func sum(_ a: [Double], _ b: [Double]?) -> [Double] { b.map { zip(a, $0).map { $0 + $1 } } ?? a }
    switch self {
    case .rule(.sparse): return gates.sparseGradient(slopes)
    case .rule(.dense): return sum(gates.sparseGradient(slopes), gates.unseenGradient(slopes))
    case .rule(.fullSoftmax): return gates.softmaxGradient(slopes) ?? slopes.map { _ in 0 }
    case .rule(.throughScores(let temperature)):
      let weights = gates.dense.map { zip($0, slopes).map { $0 * $1 } }
      return sum(
        gates.sparseGradient(slopes), weights.map { gates.scoreGradient($0, temperature: temperature) })
    case .rule(.standIns): return sum(gates.sparseGradient(slopes), gates.unseenGradient(standIns))
    case .denseMixture: return gates.choosingAll?.sparseGradient(slopes) ?? slopes.map { _ in 0 }
    }
  }
}
