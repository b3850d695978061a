import LayerTensors
import RoutingCore
import RoutingEstimators

/// What is found of a subject's gradient for the router's logits and for the input, of one token.
struct RouterFigures {
  /// Of `ĝ`, `[experts]`.
  var router: WeightedMoments
  /// Of the input's gradient, `[inputs]`.
  var input: WeightedMoments

  /// Adds the figures of other events of the same token.
  mutating func add(_ other: RouterFigures) {
    router.add(other.router)
    input.add(other.input)
  }
}

extension Result<RouterFigures, Unavailable> {
  /// The figures of a subject whose outcomes are listed.
  ///
  /// - Parameters:
  ///   - paths: the input's gradients but for the path through the router, `[events, inputs]`, from the row `first` on.
  ///   - meanPath: their mean, where nothing else is asked for.
  init(
    _ subject: Subject, _ token: LawTile.Token, _ chunk: TokenChunk, _ pass: LawPass, paths: [Double], first: Int,
    _ meanPath: [Double]
  ) {
    self.init { () throws(Unavailable) in
      let outcomes: OutcomeDistribution
      if let known = token.outcomes { outcomes = known } else { outcomes = try subject.outcomes(on: token.problem) }
      let d = pass.context.shape.inputs
      let list = outcomes.outcomes
      // The rows of the input's gradient: every outcome's path through the router, and what the event adds.
      var rows = Self.throughRouter(
        outcomes, scores: chunk.scores[token.place], router: pass.context.layer.parameters.router)
      if pass.goesThroughExperts {
        let width = paths.count / d - first
        func add(_ factor: Double, _ path: Int, to row: Int) {
          for j in 0..<d { rows[row * d + j] += factor * paths[(first + path) * d + j] }
        }
        if pass.isAveraged {
          for k in list.indices { for j in 0..<d { rows[k * d + j] += meanPath[j] } }
        } else if outcomes.samples == 1 {
          guard list.count <= width else { throw Unavailable("has other outcomes than its forward law") }
          for k in list.indices { add(1, k, to: k) }
        } else {
          let support = outcomes.distribution.support.count
          guard support <= width else { throw Unavailable("has other outcomes than its forward law") }
          for k in list.indices {
            add(0.5, k / support, to: k)
            add(0.5, k % support, to: k)
          }
        }
      }
      let moments = outcomes.moments()
      var input = WeightedMoments(rows, count: list.count, width: d) { list[$0].probability }
      if outcomes.samples > 1 {
        input.variance = Self.pairVariance(rows, outcomes: outcomes, variance: input.variance, width: d)
      } else if pass.isAveraged {
        input.variance = 0
      }
      return RouterFigures(
        router: WeightedMoments(weight: 1, mean: moments.mean, variance: moments.totalVariance), input: input)
    }
  }

  /// `Wᵀ ĝ` of each outcome, `[outcomes, inputs]`; multiples of the score `I_i − π` take what is known of those.
  private static func throughRouter(
    _ outcomes: OutcomeDistribution, scores: [Double], router: Tensor<Double>
  ) -> [Double] {
    let (n, d, list) = (router.rows, router.columns, outcomes.outcomes)
    var rows = [Double](repeating: 0, count: list.count * d)
    var dense: [Int] = []
    rows.withUnsafeMutableBufferPointer { rows in
      scores.withUnsafeBufferPointer { scores in
        guard let rows = rows.baseAddress, let scores = scores.baseAddress else { return }
        for (k, outcome) in list.enumerated() {
          switch outcome.gradient {
          case .score(let weight) where !outcome.choice.isEmpty:
            Double.setScaled(scores + outcome.choice[0] * d, factor: weight, scale: nil, to: rows + k * d, count: d)
          case .scores(let terms) where terms.allSatisfy({ $0.after == nil }):
            for term in terms {
              Double.addScaled(scores + term.choice * d, factor: term.weight, scale: nil, to: rows + k * d, count: d)
            }
          default: dense.append(k)
          }
        }
        for some in AuditContext.tiles(dense.count, of: 256) {
          var products = [Double](repeating: 0, count: some.count * d)
          MatrixFactor.multiply(
            .rows(some.flatMap { outcomes.gradient(of: list[dense[$0]]) }, stride: n),
            .memory(router.elements, stride: d), rows: some.count, columns: d, depth: n, into: &products)
          for (place, k) in some.enumerated() {
            for j in 0..<d { rows[dense[k] * d + j] = products[place * d + j] }
          }
        }
      }
    }
    return rows
  }

  /// The total variance of an average over the pairs of K draws, `2/(K(K−1)) [2(K−2) ζ₁ + ζ₂]`.
  private static func pairVariance(
    _ rows: [Double], outcomes: OutcomeDistribution, variance: Double, width d: Int
  ) -> Double {
    let support = outcomes.distribution.support
    let p = outcomes.distribution.probabilities
    var first = [Double](repeating: 0, count: support.count * d)
    for i in support.indices {
      for (j, expert) in support.enumerated() {
        for k in 0..<d { first[i * d + k] += p[expert] * rows[(i * support.count + j) * d + k] }
      }
    }
    let one = WeightedMoments(first, count: support.count, width: d) { p[support[$0]] }.variance
    let samples = Double(outcomes.samples)
    return 2 / (samples * (samples - 1)) * (2 * (samples - 2) * one + variance)
  }
}
