import CStandardLibrary
import RoutingCore

extension MixtureLayer {
  /// The auxiliary losses of a routed batch; leaves shares and mean probabilities in the workspace.
  func auxiliaryLosses(_ workspace: LayerWorkspace<Scalar>) -> AuxiliaryLosses {
    let (n, tokens) = (shape.experts, workspace.tokens)
    var losses = AuxiliaryLosses()
    guard tokens > 0 else { return losses }
    for i in 0..<n {
      workspace.shares[i] = 0
      workspace.meanProbabilities[i] = 0
    }
    let share = 1 / Double(tokens)
    for t in 0..<tokens {
      workspace.shares[Int(workspace.primary[t])] += share
      for i in 0..<n { workspace.meanProbabilities[i] += workspace.probabilities[t * n + i] * share }
    }
    var product = 0.0
    for i in 0..<n { product += workspace.shares[i] * workspace.meanProbabilities[i] }
    losses.loadBalance = options.loadBalance * Double(n) * product
    if options.zLoss > 0 {
      var sum = 0.0
      for t in 0..<tokens {
        let z = Self.logSumExp(workspace.logits + t * n, count: n)
        sum += z * z
      }
      losses.zLoss = options.zLoss * sum * share
    }
    return losses
  }

  /// What the probabilities of every token get from the load-balancing loss: `α N F_i / T`.
  func probabilityGradient(_ workspace: LayerWorkspace<Scalar>, to gradient: UnsafeMutablePointer<Double>) {
    let factor = options.loadBalance * Double(shape.experts) / Double(max(workspace.tokens, 1))
    for i in 0..<shape.experts { gradient[i] = factor * workspace.shares[i] }
  }

  /// Adds the z-loss's gradient `2β z softmax(θ)/T` to a token's.
  func addZLossGradient(_ t: Int, _ workspace: LayerWorkspace<Scalar>) {
    guard options.zLoss > 0 else { return }
    let n = shape.experts
    let logits = workspace.logits + t * n
    let z = Self.logSumExp(logits, count: n)
    let factor = 2 * options.zLoss * z / Double(workspace.tokens)
    for i in 0..<n { workspace.logitGradients[t * n + i] += factor * exp(logits[i] - z) }
  }

  private static func logSumExp(_ logits: UnsafePointer<Double>, count: Int) -> Double {
    var largest = logits[0]
    for i in 1..<max(count, 1) { largest = max(largest, logits[i]) }
    var sum = 0.0
    for i in 0..<count { sum += exp(logits[i] - largest) }
    return largest + log(sum)
  }
}
