import CStandardLibrary
import RoutingCore

/// A value, and what a gradient at it is at what it was made of.
struct Differentiated: Sendable {
  var values: [Double]
  var pullback: @Sendable ([Double]) -> [Double]
}

/// `softmax(z/τ)` over some of the entries, 0 at the others.
func softmax(_ z: [Double], over kept: [Int], temperature: Double = 1) -> Differentiated {
  var values = [Double](repeating: 0, count: z.count)
  if !kept.isEmpty {
    let p = RoutingDistribution(logits: kept.map { z[$0] }, temperature: temperature).probabilities
    for (place, i) in kept.enumerated() { values[i] = p[place] }
  }
  let s = values
  return Differentiated(values: s) { v in
    let mean = kept.reduce(0) { $0 + s[$1] * v[$1] }
    return s.indices.map { s[$0] * (v[$0] - mean) / temperature }
  }
}

/// `1/(1 + e^{−x})`.
func sigmoid(_ x: Double) -> Double { x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)) }

extension RouterSpecification.Score {
  /// s of the experts `open`, 0 of the others.
  func values(_ z: [Double], open: [Int]) -> Differentiated {
    if function == .softmax { return softmax(z, over: open, temperature: temperature) }
    var values = [Double](repeating: 0, count: z.count)
    var slopes = values
    for i in open {
      let x = z[i] / temperature
      switch function {
      case .softmax: break
      case .sigmoid: (values[i], slopes[i]) = (sigmoid(x), sigmoid(x) * sigmoid(-x))
      case .softplusSqrt:
        values[i] = softplus(x).squareRoot()
        slopes[i] = values[i] > 0 ? sigmoid(x) / (2 * values[i]) : 0
      case .relu: (values[i], slopes[i]) = (max(x, 0), x > 0 ? 1 : 0)
      case .exp: (values[i], slopes[i]) = (CStandardLibrary.exp(x), CStandardLibrary.exp(x))
      case .identity: (values[i], slopes[i]) = (x, 1)
      }
    }
    let tau = temperature
    return Differentiated(values: values) { [slopes] v in v.indices.map { v[$0] * slopes[$0] / tau } }
  }
}
