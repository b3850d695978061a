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
    let (n, d, p) = (router.rows, router.columns, distribution.probabilities)
    var rows = Array(UnsafeBufferPointer(start: router.elements, count: n * d))
    let top = distribution.argmax
    // −Σ_{k≠top} π_k w_k
    var others = [Double](repeating: 0, count: d)
    for k in distribution.support where k != top {
      Double.addScaled(router.elements + k * d, factor: -p[k], scale: nil, to: &others, count: d)
    }
    rows.withUnsafeMutableBufferPointer { rows in
      guard let rows = rows.baseAddress else { return }
      for i in 0..<n {
        if i == top {
          Double.setScaled(
            router.elements + i * d, factor: distribution.complements[i], scale: nil, to: rows + i * d, count: d)
        } else {
          Double.addScaled(router.elements + top * d, factor: -p[top], scale: nil, to: rows + i * d, count: d)
        }
        Double.addScaled(others, factor: 1, scale: nil, to: rows + i * d, count: d)
      }
    }
    return rows
  }
}
