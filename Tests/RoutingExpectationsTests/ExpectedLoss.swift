import CStandardLibrary
import RoutingCore
import RoutingEstimators
import RoutingExpectations
import _TestSupport

/// What each target is the gradient of, as a function of the logits with the mask held fixed, written down
/// from the definitions: a softmax of its own, and the loss as a function.
struct ExpectedLoss {
  let problem: RoutedProblem
  let logits: [Double]
  let support: [Int]

  init(_ problem: RoutedProblem) {
    self.problem = problem
    logits = problem.problem.logits
    support = problem.distribution.support
  }

  private func softmax(_ logits: [Double], _ support: [Int]) -> [Double] {
    let top = support.map { logits[$0] }.max() ?? 0
    var p = logits.map { _ in 0.0 }
    for i in support { p[i] = exp(logits[i] - top) }
    let total = p.reduce(0, +)
    return p.map { $0 / total }
  }

  /// The function whose gradient at the problem's logits is the target.
  func function(_ target: GradientTarget) throws -> ([Double]) -> Double {
    let held = softmax(logits, support)
    if case .categorical(let categorical) = problem.problem {
      guard case .objective(let f) = categorical.source else { throw Unavailable("needs an objective") }
      let values = logits.indices.map { i in f.value(at: logits.indices.map { $0 == i ? 1 : 0 }) }
      return { dot(softmax($0, support), values) }
    }
    let (_, loss, directions) = try problem.computableMixture()
    let rows = directions.asRows
    func value(_ multiplier: Double, _ i: Int) -> Double { loss.value(at: rows[i].map { multiplier * $0 }) }
    func mixed(_ p: [Double]) -> [Double] {
      rows[0].indices.map { j in support.reduce(0) { $0 + p[$1] * rows[$1][j] } }
    }
    switch target {
    case .expectedLoss:
      return { logits in
        let p = softmax(logits, support)
        return support.reduce(0) { $0 + p[$1] * value(p[$1], $1) }
      }
    case .routingTerm:
      return { logits in
        let p = softmax(logits, support)
        return support.reduce(0) { $0 + p[$1] * value(held[$1], $1) }
      }
    case .gatingTerm:
      return { logits in
        let p = softmax(logits, support)
        return support.reduce(0) { $0 + held[$1] * value(p[$1], $1) }
      }
    case .denseMixture: return { loss.value(at: mixed(softmax($0, support))) }
    case .denseBackward:
      let slopes = support.map { i in loss.gradient(at: rows[i].map { held[i] * $0 }) }
      return { logits in
        let y = mixed(softmax(logits, support))
        return zip(support, slopes).reduce(0) { $0 + held[$1.0] * dot($1.1, y) }
      }
    }
  }

  /// The same for two draws without replacement.
  func pairFunction(_ target: GradientTarget) throws -> ([Double]) -> Double {
    let (_, loss, directions) = try problem.computableMixture()
    let rows = directions.asRows
    let seconds = support.map { problem.mask.support(of: logits, excluding: $0) }
    let held = softmax(logits, support)
    let heldSeconds = seconds.map { softmax(logits, $0) }
    return { logits in
      let p = softmax(logits, support)
      var sum = 0.0
      for (k, i) in support.enumerated() {
        let second = softmax(logits, seconds[k])
        for j in seconds[k] {
          let probability = target == .gatingTerm ? held[i] * heldSeconds[k][j] : p[i] * second[j]
          let (a, b) = target == .routingTerm ? (held[i], heldSeconds[k][j]) : (p[i], second[j])
          sum += probability * loss.value(at: zip(rows[i], rows[j]).map { a * $0 + b * $1 })
        }
      }
      return sum
    }
  }

  /// The expected loss of a subset, every one written down: `p(S) ∝ exp(Σ θ_i)`, or the sum over the orders in which it can be drawn.
  func subsetFunction(_ law: SubsetLaw) throws -> ([Double]) -> Double {
    let subsets = (0..<1 << support.count).map { bits in
      support.indices.filter { bits >> $0 & 1 == 1 }.map { support[$0] }
    }.filter { law.sizes.contains($0.count) }
    let value: (_ subset: [Int], _ p: [Double]) -> Double
    if case .categorical(let categorical) = problem.problem {
      guard case .objective(let f) = categorical.source else { throw Unavailable("needs an objective") }
      value = { subset, p in f.value(at: p.indices.map { subset.contains($0) ? 1 : 0 }) }
    } else {
      let (_, loss, directions) = try problem.computableMixture()
      let rows = directions.asRows
      value = { subset, p in
        loss.value(at: rows[0].indices.map { j in subset.reduce(0) { $0 + p[$1] * rows[$1][j] } })
      }
    }
    /// `P(next | before)` along every order of what is left.
    func drawn(_ left: [Int], _ p: [Double], rest: Double) -> Double {
      left.isEmpty
        ? 1
        : left.reduce(0) { sum, i in sum + p[i] / rest * drawn(left.filter { $0 != i }, p, rest: rest - p[i]) }
    }
    return { logits in
      let p = softmax(logits, support)
      let weights = subsets.map { subset in
        switch law {
        case .conditionalBernoulli: exp(subset.reduce(0) { $0 + logits[$1] })
        case .plackettLuce: drawn(subset, p, rest: 1)
        }
      }
      let total = weights.reduce(0, +)
      return zip(subsets, weights).reduce(0) { $0 + $1.1 / total * value($1.0, p) }
    }
  }
}
