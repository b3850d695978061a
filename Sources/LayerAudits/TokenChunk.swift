import LayerTensors
import RoutingCore

/// Some tokens, with what all passes need of them.
struct TokenChunk {
  let tokens: Range<Int>
  /// Each expert's hidden units for these tokens; empty where no pass goes through experts.
  let hidden: [Hidden]
  /// `Wᵀ (I_i − π)` of each token, `[experts, inputs]`.
  let scores: [[Double]]

  init(_ context: AuditContext, _ tokens: Range<Int>, hidden: Bool) {
    self.tokens = tokens
    self.hidden = hidden ? (0..<context.shape.experts).map { Hidden(context.layer, expert: $0, tokens: tokens) } : []
    scores = tokens.map { Self.scores(context.problems[$0].distribution, through: context.layer.parameters.router) }
  }

  /// `Wᵀ (I_i − π) = w_i − Σ_k π_k w_k` for every expert i, `[experts, inputs]`.
  ///
  /// *Numerics*: where `π_i > ½` it is `(1 − π_i) w_i − Σ_{k≠i} π_k w_k`, so that `π_i → 1` keeps its digits.
  static func scores(_ distribution: RoutingDistribution, through router: Tensor<Double>) -> [Double] {
    [Double](unsafeUninitializedCapacity: router.count) { rows, count in
      count = router.count
      if let rows = rows.baseAddress { setScores(distribution, through: router, to: rows) }
    }
  }

  /// Puts them where there is room.
  static func setScores(
    _ distribution: RoutingDistribution, through router: Tensor<Double>, to rows: UnsafeMutablePointer<Double>
  ) {
    let (n, d, p) = (router.rows, router.columns, distribution.probabilities)
    let top = distribution.argmax
    // −Σ_{k≠top} π_k w_k
    var others = [Double](repeating: 0, count: d)
    for k in distribution.support where k != top {
      Double.addScaled(router.elements + k * d, factor: -p[k], scale: nil, to: &others, count: d)
    }
    // What is taken from every other expert's row.
    var mean = others
    Double.addScaled(router.elements + top * d, factor: -p[top], scale: nil, to: &mean, count: d)
    for i in 0..<n {
      let (own, row) = (router.elements + i * d, rows + i * d)
      if i == top {
        Double.setScaled(own, factor: distribution.complements[i], scale: nil, to: row, count: d)
        Double.addScaled(others, factor: 1, scale: nil, to: row, count: d)
      } else {
        for j in 0..<d { row[j] = own[j] + mean[j] }
      }
    }
  }
}
