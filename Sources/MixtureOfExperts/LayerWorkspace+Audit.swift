import LayerTensors
import RoutingCore

extension LayerWorkspace {
  /// Gives the tokens of ``forced`` their experts; of routers with one expert that counts. Where all are evaluated, the others count
  /// nothing.
  func force() {
    for route in forced {
      precondition(route.token < tokens, "token \(route.token) is to be forced, there are \(tokens)")
      for s in 0..<slots {
        let isForced = slots == 1 || s == route.expert
        let place = route.token * slots + s
        if isForced { choices[place] = Int32(route.expert) }
        multipliers[place] = isForced ? route.multiplier : 0
        backwardMultipliers[place] = multipliers[place]
      }
      primary[route.token] = Int32(route.expert)
    }
  }

  /// What a slot's output was multiplied by.
  package func multiplier(token: Int, slot: Int) -> Double { multipliers[token * slots + slot] }

  /// What a token's logits are, and their gradient after a backward pass, `[experts]`.
  package func logitsAndGradient(token: Int) -> (logits: [Double], gradient: [Double]) {
    let n = meanProbabilities.count
    return (
      Array(UnsafeBufferPointer(start: logits + token * n, count: n)),
      Array(UnsafeBufferPointer(start: logitGradients + token * n, count: n))
    )
  }

  /// What the logits get if every expert's output has these slopes, after a forward pass: see
  /// ``TokenRouter/differentiateDensely(_:slopes:)``.
  ///
  /// - Parameters:
  ///   - slopes: c of some tokens, `[some, experts]`.
  ///   - first: the first of them.
  /// - Returns: `[some, experts]`.
  package func denseGradients(of router: any TokenRouter, slopes: [Double], first: Int = 0) -> [Double] {
    let n = meanProbabilities.count
    var gradients = [Double](repeating: 0, count: slopes.count)
    gradients.withUnsafeMutableBufferPointer { gradients in
      slopes.withUnsafeBufferPointer { slopes in
        withUnsafeTemporaryAllocation(of: Double.self, capacity: 5 * n) { scratch in
          guard let scratch = scratch.baseAddress, let gradients = gradients.baseAddress, let c = slopes.baseAddress
          else { return }
          scratch.initialize(repeating: 0, count: 5 * n)
          for t in 0..<slopes.count / n {
            router.differentiateDensely(
              token(first + t, n, scratch: scratch, gradient: gradients + t * n), slopes: c + t * n)
          }
        }
      }
    }
    return gradients
  }
}
