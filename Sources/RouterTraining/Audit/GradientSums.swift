import RoutingCore

/// Sums over the entries of two gradients, of which bias and cosine are formed.
struct GradientSums {
  private var own = 0.0
  private var target = 0.0
  private var product = 0.0
  private var difference = 0.0

  mutating func add(_ own: some Sequence<Double>, _ target: some Sequence<Double>) {
    for (x, y) in zip(own, target) {
      self.own += x * x
      self.target += y * y
      product += x * y
      difference += (x - y) * (x - y)
    }
  }

  var isFinite: Bool { own.isFinite && target.isFinite && difference.isFinite }

  var targetNorm: Double { target.squareRoot() }

  /// `‖ĝ − target‖/‖target‖`.
  var relativeBias: Double? { target > 0 ? (difference / target).squareRoot() : nil }

  /// `⟨ĝ, target⟩/(‖ĝ‖ ‖target‖)`.
  var cosine: Double? {
    own > 0 && target > 0 ? min(max(product / (own.squareRoot() * target.squareRoot()), -1), 1) : nil
  }

  /// `√variance/‖target‖`.
  func relativeDeviation(_ variance: Double) -> Double? {
    target > 0 && variance.isFinite ? (max(variance, 0) / target).squareRoot() : nil
  }
}

extension NetworkAudit.Gradient {
  /// - Parameters:
  ///   - own: ĝ.
  ///   - seen, unseen: the target is their sum.
  /// - Returns: nil if a number is not finite.
  init?(_ own: [Double], seen: [Double], unseen: [Double]) {
    var sums = GradientSums()
    sums.add(own, zip(seen, unseen).lazy.map { $0 + $1 })
    let (a, b) = (seen.reduce(0) { $0 + $1 * $1 }, unseen.reduce(0) { $0 + $1 * $1 })
    guard sums.isFinite, (a + b).isFinite else { return nil }
    self.init(
      targetNorm: sums.targetNorm, relativeBias: sums.relativeBias, cosine: sums.cosine,
      unseen: a + b > 0 ? b / (a + b) : nil)
  }
}
