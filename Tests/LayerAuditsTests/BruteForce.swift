import CStandardLibrary
import LayerAudits
import LayerTensors
import RoutingCore
import RoutingEstimators
import RoutingExpectations
import _TestSupport

/// A small random layer.
struct SmallLayer {
  var hasRouterBias = true
  var hasHiddenBias = true
  var hasOutputBias = true
  var hasScale = true
  var residual = true
  var activation = Activation.gelu
  var isCrossEntropy = false
  var tokens = 3
  var experts = 3
  var width = 3

  func make(_ name: String) -> DumpedLayer {
    var random = TestSeed.generator(name)
    let shape = LayerShape(
      experts: experts, inputs: width, hidden: 4, outputs: residual ? width : 2, activation: activation,
      routerBias: hasRouterBias, hiddenBias: hasHiddenBias, outputBias: hasOutputBias, scale: hasScale)
    let parameters = LayerParameters<Double>(shape)
    for (_, tensor) in parameters.all { for k in 0..<tensor.count { tensor.elements[k] = random.nextNormal() } }
    let input = Tensor<Double>(rows: tokens, columns: width, random.normals(tokens * width))
    let loss: DumpedLayer.Loss =
      isCrossEntropy
      ? .crossEntropy(
        unembedding: Tensor(rows: 5, columns: shape.outputs, random.normals(5 * shape.outputs)),
        labels: (0..<tokens).map { ($0 * 2 + 1) % 5 })
      : .squaredError(targets: Tensor(rows: tokens, columns: shape.outputs, random.normals(tokens * shape.outputs)))
    return DumpedLayer(shape: shape, residual: residual, parameters: parameters, input: input, loss: loss)
  }
}

/// An audit by writing everything out: for each token and outcome the gradient by every parameter, with plain loops.
struct BruteForce {
  let layer: DumpedLayer
  let mask: Mask

  /// A gradient by group.
  typealias Gradient = [ParameterGroup: [Double]]
  typealias Slot = (expert: Int, forward: Double, backward: Double)

  private var shape: LayerShape { layer.shape }
  private var p: LayerParameters<Double> { layer.parameters }

  func logits(_ t: Int) -> [Double] {
    (0..<shape.experts).map { i in
      (0..<shape.inputs).reduce(p.routerBias?[0, i] ?? 0) { $0 + p.router[i, $1] * layer.input[t, $1] }
    }
  }

  private func preactivations(_ t: Int, _ i: Int) -> [Double] {
    (0..<shape.hidden).map { k in
      (0..<shape.inputs).reduce(p.biases1?[i, k] ?? 0) {
        $0 + p.weights1[i * shape.hidden + k, $1] * layer.input[t, $1]
      }
    }
  }

  private func activation(_ z: Double) -> (value: Double, slope: Double) {
    switch shape.activation {
    case .relu: return (max(z, 0), z > 0 ? 1 : 0)
    case .gelu:
      let half = 0.5 * erfc(-z / 2.0.squareRoot())
      return (z * half, half + z * exp(-z * z / 2) / (2 * Double.pi).squareRoot())
    case .silu:
      let s = 1 / (1 + exp(-z))
      return (z * s, s + z * s * (1 - s))
    }
  }

  func output(_ t: Int, _ i: Int) -> [Double] {
    let hidden = preactivations(t, i).map { activation($0).value }
    return (0..<shape.outputs).map { j in
      hidden.indices.reduce(p.biases2?[i, j] ?? 0) { $0 + p.weights2[i * shape.outputs + j, $1] * hidden[$1] }
    }
  }

  /// The loss proper, of y with the residual in it, and its gradient.
  private func loss(_ t: Int, _ y: [Double]) -> (value: Double, gradient: [Double]) {
    switch layer.loss {
    case .squaredError(let targets):
      let r = y.indices.map { y[$0] - targets[t, $0] }
      return (0.5 * r.reduce(0) { $0 + $1 * $1 }, r)
    case .crossEntropy(let unembedding, let labels):
      let scores = (0..<unembedding.rows).map { c in y.indices.reduce(0) { $0 + unembedding[c, $1] * y[$1] } }
      let total = scores.reduce(0) { $0 + exp($1) }
      let residuals = scores.indices.map { exp(scores[$0]) / total - ($0 == labels[t] ? 1 : 0) }
      return (
        log(total) - scores[labels[t]],
        y.indices.map { j in residuals.indices.reduce(0) { $0 + residuals[$1] * unembedding[$1, j] } }
      )
    }
  }

  private func mixed(_ t: Int, _ slots: [Slot]) -> [Double] {
    let outputs = slots.map { output(t, $0.expert) }
    return (0..<shape.outputs).map { j in
      slots.indices.reduce(layer.residual ? layer.input[t, j] : 0) {
        $0 + slots[$1].forward * (p.scale?[0, j] ?? 1) * outputs[$1][j]
      }
    }
  }

  func value(_ t: Int, _ slots: [Slot]) -> Double { loss(t, mixed(t, slots)).value }

  /// The gradient of one token's loss.
  func gradient(_ t: Int, _ slots: [Slot], router: [Double]) -> Gradient {
    let (n, d, h, e) = (shape.experts, shape.inputs, shape.hidden, shape.outputs)
    let upstream = slots.isEmpty ? [Double](repeating: 0, count: e) : loss(t, mixed(t, slots)).gradient
    var scale = [Double](repeating: 0, count: e)
    var input = (0..<layer.tokens * d).map { k in
      k / d == t ? (0..<n).reduce(0) { $0 + p.router[$1, k % d] * router[$1] } : 0
    }
    var w1 = [Double](repeating: 0, count: n * h * d)
    var w2 = [Double](repeating: 0, count: n * e * h)
    var b1 = [Double](repeating: 0, count: n * h)
    var b2 = [Double](repeating: 0, count: n * e)
    if layer.residual { for j in 0..<d { input[t * d + j] += upstream[j] } }
    for (i, _, m) in slots {
      let z = preactivations(t, i).map { activation($0) }
      let y = output(t, i)
      for j in 0..<e {
        scale[j] += m * upstream[j] * y[j]
        let v = m * (p.scale?[0, j] ?? 1) * upstream[j]
        b2[i * e + j] += v
        for k in 0..<h {
          w2[(i * e + j) * h + k] += v * z[k].value
          let u = v * p.weights2[i * e + j, k] * z[k].slope
          b1[i * h + k] += u
          for c in 0..<d {
            w1[(i * h + k) * d + c] += u * layer.input[t, c]
            input[t * d + c] += u * p.weights1[i * h + k, c]
          }
        }
      }
    }
    let weight = (0..<n * d).map { router[$0 / d] * layer.input[t, $0 % d] }
    let experts = w1 + (shape.hiddenBias ? b1 : []) + w2 + (shape.outputBias ? b2 : [])
    var all: Gradient = [.routerWeight: weight, .experts: experts, .input: input]
    if shape.routerBias { all[.routerBias] = router }
    if shape.scale { all[.scale] = scale }
    return all
  }

  func problem(_ t: Int) throws -> RoutedProblem {
    let loss: any Objective = FunctionLoss(dimension: shape.outputs) { [self] z in
      let y = z.indices.map { z[$0] + (layer.residual ? layer.input[t, $0] : 0) }
      return self.loss(t, y)
    }
    return try RoutedProblem(
      .mixture(
        MixtureProblem(
          logits: logits(t), expertOutputs: (0..<shape.experts).map { output(t, $0) }, scale: p.scale?.values,
          loss: loss)), mask: mask)
  }

  // MARK: - Moments

  /// Mean and total variance of a token's gradient from its outcomes.
  static func moments(
    _ outcomes: [(probability: Double, gradient: Gradient)]
  ) -> [ParameterGroup: (mean: [Double], variance: Double)] {
    var result: [ParameterGroup: (mean: [Double], variance: Double)] = [:]
    for (group, first) in outcomes[0].gradient {
      var mean = first.map { _ in 0.0 }
      for (p, gradient) in outcomes { for (k, x) in (gradient[group] ?? []).enumerated() { mean[k] += p * x } }
      var variance = 0.0
      for (p, gradient) in outcomes {
        variance += p * zip(gradient[group] ?? [], mean).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
      }
      result[group] = (mean, variance)
    }
    return result
  }

  /// Every outcome of an estimator for a token.
  func outcomes(_ estimator: any GradientEstimator, _ t: Int) throws -> [(probability: Double, gradient: Gradient)] {
    let problem = try problem(t)
    let pi = problem.distribution.probabilities
    let found = try estimator.finiteOutcomes(on: problem)
    return found.outcomes.map { outcome in
      let router = found.gradient(of: outcome)
      if estimator is Exact {
        return (1, mean(problem.distribution.support.map { (pi[$0], [($0, pi[$0], pi[$0])]) }, t, router))
      }
      let multipliers = outcome.multiplier ?? []
      if estimator is DenseBackward {
        let chosen = outcome.choice[0]
        return (
          outcome.probability,
          gradient(t, problem.distribution.support.map { ($0, $0 == chosen ? pi[$0] : 0, pi[$0]) }, router: router)
        )
      }
      if found.samples == 2 {  // two runs, averaged
        return (
          outcome.probability,
          mean(zip(outcome.choice, multipliers).map { (0.5, [($0, $1, $1)]) }, t, router)
        )
      }
      return (
        outcome.probability, gradient(t, zip(outcome.choice, multipliers).map { ($0, $1, $1) }, router: router)
      )
    }
  }

  /// The mean over forward events, with one gradient of the router.
  func mean(_ events: [(Double, [Slot])], _ t: Int, _ router: [Double]) -> Gradient {
    var total = gradient(t, [], router: router)
    let zero = [Double](repeating: 0, count: shape.experts)
    for (p, slots) in events {
      for (group, values) in gradient(t, slots, router: zero) {
        total[group] = zip(total[group] ?? [], values).map { $0 + p * $1 }
      }
    }
    return total
  }

  /// A target.
  func target(_ target: GradientTarget, draws: Int, _ t: Int) throws -> Gradient {
    let problem = try problem(t)
    let pi = problem.distribution.probabilities
    let support = problem.distribution.support
    let router = try target.gradient(of: problem, draws: draws)
    switch target {
    case .routingTerm, .gatingTerm:
      return gradient(t, [], router: router).filter { $0.key != .experts && $0.key != .scale }
    case .denseMixture: return gradient(t, support.map { ($0, pi[$0], pi[$0]) }, router: router)
    case .denseBackward:
      return mean(support.map { i in (pi[i], support.map { ($0, $0 == i ? pi[$0] : 0, pi[$0]) }) }, t, router)
    case .expectedLoss:
      guard draws == 2 else { return mean(support.map { (pi[$0], [($0, pi[$0], pi[$0])]) }, t, router) }
      let pairs = try PairDistribution(problem)
      return mean(
        pairs.first.support.flatMap { i in
          (pairs.second[i]?.support ?? []).map { j in
            let second = pairs.second[i]?.probabilities[j] ?? 0
            return (pi[i] * second, [(i, pi[i], pi[i]), (j, second, second)])
          }
        }, t, router)
    }
  }
}

/// A loss from a closure.
struct FunctionLoss: Objective {
  let dimension: Int
  let evaluate: @Sendable ([Double]) -> (value: Double, gradient: [Double])

  func value(at point: [Double]) -> Double { evaluate(point).value }
  func gradient(at point: [Double]) -> [Double] { evaluate(point).gradient }
}
