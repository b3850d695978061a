import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// What trying a token's experts one by one has told of its logits' gradients, `[experts]` each.
struct TokenContrast: Sendable {
  /// The router's: its mean over the token's own draws, or the draw that was made.
  var own: [Double]
  /// Of the token's own draws; nil where they cannot be listed.
  var totalVariance: Double?
  /// The gradient of the loss that is expected over the token's own draw, all else held.
  var target: [Double]
  /// Dense back-propagation: likewise the mean, or of the draw that was made.
  var dense: [Double]

  var isFinite: Bool {
    [own, target, dense].allSatisfy { $0.allSatisfy(\.isFinite) } && totalVariance?.isFinite ?? true
  }
}

/// A token's logits, and the network's losses and slopes with one expert or another.
struct TriedExperts {
  /// θ.
  var logits: [Double]
  var law: ContrastLaw
  /// As training goes back through the network, `[experts][nodes]` of the law's nodes; of experts that are not drawn, zeros.
  var values, slopes: [[Double]]
  /// `[G'(π_i f_i)·f_j]_j`, `[experts][experts]`.
  var denseSlopes: [[Double]]
  /// Value and slope of each expert's full output, `[experts]`, the loss differentiated as it stands.
  var heldValues, heldSlopes: [Double]
  /// The gradients of the draw that was made.
  var drawn, drawnDensely: [Double]
  /// Of the expert that is drawn by chance.
  let distribution: RoutingDistribution

  init(logits: [Double], law: ContrastLaw, drawn: [Double], drawnDensely: [Double]) {
    let n = logits.count
    let zeros = [Double](repeating: 0, count: n)
    (self.logits, self.law, self.drawn, self.drawnDensely) = (logits, law, drawn, drawnDensely)
    values = Array(repeating: [Double](repeating: 0, count: law.nodes.count), count: n)
    slopes = values
    denseSlopes = Array(repeating: zeros, count: n)
    (heldValues, heldSlopes) = (zeros, zeros)
    distribution = RoutingDistribution(logits: logits, mask: law.mask)
  }

  /// The problem that a table stands for.
  private func routed(_ nodes: [Double], _ values: [[Double]], _ slopes: [[Double]]) throws(Unavailable)
    -> RoutedProblem
  {
    do throws(InvalidInput) {
      let table = MixtureTable(nodes: nodes, values: values, slopes: slopes, valueAtZero: 0, mask: law.mask)
      let mixture = try MixtureProblem(logits: logits, expertOutputs: nil, source: .table(table))
      return try RoutedProblem(.mixture(mixture), mask: law.mask)
    } catch {
      throw Unavailable("\(error)")
    }
  }

  /// - Throws: `Unavailable` if a number is not finite.
  func contrast() throws(Unavailable) -> TokenContrast {
    let target = try routed([1], heldValues.map { [$0] }, heldSlopes.map { [$0] }).expectedLossGradient()
    let densely = distribution.support.map {
      (share: distribution.probabilities[$0], gradient: distribution.jacobianProduct(denseSlopes[$0]))
    }
    let dense = logits.indices.map { k in densely.reduce(0) { $0 + $1.share * $1.gradient[k] } }
    switch law {
    case .drawn: return TokenContrast(own: drawn, totalVariance: nil, target: target, dense: drawnDensely)
    case .dense:
      let second = densely.reduce(0) { sum, draw in sum + draw.share * draw.gradient.reduce(0) { $0 + $1 * $1 } }
      return TokenContrast(
        own: dense, totalVariance: max(second - dense.reduce(0) { $0 + $1 * $1 }, 0), target: target, dense: dense)
    case .rule(let rule, _):
      let rays = try routed(law.nodes, values, slopes).rays(nodes: rule.nodes)
      let moments = rule.outcomes(on: distribution, rays: rays).moments()
      return TokenContrast(own: moments.mean, totalVariance: moments.totalVariance, target: target, dense: dense)
    case .reinforce(let baseline, _):
      let moments = try Reinforce(baseline: .constant(baseline)).outcomes(of: routed(law.nodes, values, slopes))
        .moments()
      return TokenContrast(own: moments.mean, totalVariance: moments.totalVariance, target: target, dense: dense)
    }
  }
}
