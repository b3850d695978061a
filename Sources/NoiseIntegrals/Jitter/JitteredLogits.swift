import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// The race of jittered logits `x_i = θ_i u_i`, `u_i ~ U[1−r, 1+r]`, of which the largest wins. Indices run
/// over a support.
///
/// With `u = 1 + r sgn(θ) v` every `x_i = θ_i + r|θ_i| v_i`, `v_i ~ U[−1, 1]`. A value t is written
/// `θ* + r|θ*| z`, θ* the largest logit: differences of logits enter as such, so a small r or large logits
/// lose no digits.
///
/// Signs do not mix: where a logit is positive, x > 0 wins, so only positive ones compete; where none is but
/// one is zero, the lowest index with a zero wins surely (`x = 0`); else all are negative.
///
/// - `x_i` reaches from `low_i` to `high_i` in z; its density there is `|θ*|/(2|θ_i|)`, its distribution
///   function linear;
/// - the winner's value lies above `M = max low`, and expert i can win iff `high_i > M` (the mask `paper`);
/// - between M and the breakpoints `high_i` all densities are constant and all distribution functions linear
///   or 1.
struct JitteredLogits: Sendable {
  let support: [Int]
  let allExperts: Int
  let jitter: Double
  /// θ over the support.
  let logits: [Double]
  /// θ*.
  let top: Double
  /// `θ_i − θ*`.
  let gaps: [Double]
  let low: [Double]
  let high: [Double]
  /// The place of the expert that wins surely, with a value that is not random: `r = 0` or `θ* = 0`.
  let certain: Int?
  /// The places of the experts that can win, in increasing order.
  let reachable: [Int]
  /// M and the breakpoints above it, ascending.
  let breakpoints: [Double]

  var experts: Int { support.count }
  /// Whether the largest logit is there twice and never moves.
  var hasCertainTie: Bool { certain != nil && logits.count { $0 == top } > 1 }
  /// `dt/dz = r|θ*|`.
  var slope: Double { jitter * top.magnitude }

  init(logits all: [Double], support: [Int], jitter r: Double) {
    let logits = support.map { all[$0] }
    var place = 0
    for i in logits.indices where logits[i] > logits[place] { place = i }
    let top = logits[place]
    self.support = support
    self.allExperts = all.count
    self.jitter = r
    self.logits = logits
    self.top = top
    gaps = logits.map { $0 - top }
    guard r > 0, top != 0 else {
      certain = place
      reachable = [place]
      low = logits.map { _ in 0 }
      high = low
      breakpoints = [0, 0]
      return
    }
    let size = top.magnitude
    let centres = gaps.map { $0 / size / r }
    let halves = logits.map { $0.magnitude / size }
    let low = zip(centres, halves).map { $0 - $1 }
    let high = zip(centres, halves).map { $0 + $1 }
    let bottom = low.reduce(-1) { max($0, $1) }
    let reachable = logits.indices.filter {
      high[$0] > bottom && logits[$0].sign == top.sign && logits[$0] != 0
    }
    self.low = low
    self.high = high
    self.certain = nil
    self.reachable = reachable
    breakpoints = ([bottom] + reachable.map { high[$0] }).sorted().reduce(into: []) {
      if $0.last != $1 { $0.append($1) }
    }
  }

  /// The density of `x_i` in z, between M and `high_i`; 0 beyond.
  func density(_ i: Int, at z: Double) -> Double {
    guard z < high[i], logits[i].sign == top.sign, logits[i] != 0 else { return 0 }
    return top.magnitude / (2 * logits[i].magnitude)
  }

  /// The v at which `x_i` is at z, no more than 1; 1 for those that always lie below.
  func level(_ i: Int, at z: Double) -> Double {
    guard certain == nil, logits[i].sign == top.sign, logits[i] != 0, z < high[i] else { return 1 }
    return max(min(1, (z - low[i]) * (top.magnitude / logits[i].magnitude) - 1), -1)
  }

  /// `u_i` where `x_i` is at z.
  func factor(_ i: Int, at z: Double) -> Double { factor(i, level: level(i, at: z)) }

  /// `u_i` for a v; the jitter of a zero logit moves nothing, and counts as v.
  func factor(_ i: Int, level v: Double) -> Double { 1 + jitter * (logits[i] < 0 ? -v : v) }

  /// `P(x_i < t)`.
  func share(_ i: Int, at z: Double) -> Double { (level(i, at: z) + 1) / 2 }

  /// `x_i − t` for `v_i` and z, without the cancellation of the two.
  func distance(_ i: Int, level v: Double, at z: Double) -> Double {
    gaps[i] + jitter * (logits[i].magnitude * v - top.magnitude * z)
  }

  /// Numbers of the support's experts as numbers of all, zero elsewhere.
  func scattered(_ values: [Double]) -> [Double] {
    var result = [Double](repeating: 0, count: allExperts)
    for (place, expert) in support.enumerated() { result[expert] = values[place] }
    return result
  }
}

// MARK: - Selection probabilities

extension JitteredLogits {
  /// `P(D = i) = ∫ p_i(t) Π_{l≠i} P(x_l < t) dt` over the support.
  ///
  /// *Numerics*: between breakpoints a polynomial of degree below N; Gauss–Legendre with N/2 points is exact
  /// there. For N > 64 the pieces are halved instead of the rule growing, each half being a polynomial whose
  /// high coefficients are smaller by powers of two.
  func selectionProbabilities() -> [Double] {
    var sums = [CompensatedSum](repeating: CompensatedSum(), count: experts)
    if let certain {
      sums[certain] += 1
      return sums.map(\.value)
    }
    let competitors = reachable.count
    let rule = QuadratureRule.gaussLegendre(min((competitors + 1) / 2, 32))
    let panels = 1 + competitors / 64 * 2
    for (start, end) in zip(breakpoints, breakpoints.dropFirst()) {
      let length = (end - start) / Double(panels)
      for panel in 0..<panels {
        for (node, weight) in zip(rule.nodes, rule.weights) {
          let z = start + length * (Double(panel) + node)
          let shares = reachable.map { share($0, at: z) }
          var below = [1.0]
          for share in shares { below.append(below[below.count - 1] * share) }
          var above = 1.0
          for k in reachable.indices.reversed() {
            sums[reachable[k]] += weight * length * density(reachable[k], at: z) * below[k] * above
            above *= shares[k]
          }
        }
      }
    }
    return sums.map(\.value)
  }
}
