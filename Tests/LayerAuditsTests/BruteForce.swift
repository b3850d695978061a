import CStandardLibrary
import LayerAudits
import LayerTensors
import RouterSpecifications
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
  var isUpstream = false
  var isGated = false
  /// 0 for none, 1 for plain ones, 2 for those with a gate.
  var shared = 0
  var hasStandIns = false
  var router: RouterSpecification?
  var tokens = 3
  var experts = 3
  var width = 3
  /// Without the residual; 2 unless told otherwise.
  var outputs = 2

  func make(_ name: String) -> DumpedLayer {
    var random = TestSeed.generator(name)
    let shape = LayerShape(
      experts: experts, inputs: width, hidden: 4, outputs: residual ? width : outputs, activation: activation,
      gated: isGated,
      routerBias: hasRouterBias, hiddenBias: hasHiddenBias, outputBias: hasOutputBias, scale: hasScale,
      shared: shared == 0
        ? nil
        : SharedShape(
          count: shared, hidden: 3, gated: isGated, hiddenBias: hasHiddenBias, outputBias: hasOutputBias,
          gate: shared == 2))
    let parameters = LayerParameters<Double>(shape)
    for (_, tensor) in parameters.all { for k in 0..<tensor.count { tensor.elements[k] = random.nextNormal() } }
    if activation == .clampedSwiglu {
      // So that some are clamped.
      for (name, tensor) in parameters.all where name.hasSuffix("w1") || name.hasSuffix("w3") {
        for k in 0..<tensor.count { tensor.elements[k] *= 4 }
      }
    }
    let input = Tensor<Double>(rows: tokens, columns: width, random.normals(tokens * width))
    let loss: DumpedLayer.Loss =
      isCrossEntropy
      ? .crossEntropy(
        unembedding: Tensor(rows: 5, columns: shape.outputs, random.normals(5 * shape.outputs)),
        labels: (0..<tokens).map { ($0 * 2 + 1) % 5 })
      : .squaredError(targets: Tensor(rows: tokens, columns: shape.outputs, random.normals(tokens * shape.outputs)))
    let standIns =
      hasStandIns ? Tensor<Double>(rows: experts, columns: shape.outputs, random.normals(experts * shape.outputs)) : nil
    return DumpedLayer(
      shape: shape, residual: residual, parameters: parameters, input: input,
      loss: isUpstream
        ? .upstream(Tensor(rows: tokens, columns: shape.outputs, random.normals(tokens * shape.outputs))) : loss,
      router: router.map { specification in
        // A specification of a test is one that can be audited.
        try! LayerRouter(
          specification, selectionBias: specification.hasSelectionBias ? random.normals(experts, spread: 0.3) : nil,
          expertScales: specification.gate?.hasExpertScales == true
            ? random.normals(experts, spread: 0.2, centre: 1) : nil)
      }, standIns: standIns)
  }
}

/// An audit by writing everything out: for each token and outcome the gradient by every parameter, with plain loops.
struct BruteForce {
  let layer: DumpedLayer
  let mask: Mask

  /// A gradient by group.
  typealias Gradient = [ParameterGroup: [Double]]
  typealias Slot = (expert: Int, forward: Double, backward: Double, isStandIn: Bool)

  private func standIn(_ i: Int) -> [Double] { (0..<shape.outputs).map { layer.standIns?[i, $0] ?? 0 } }

  private var shape: LayerShape { layer.shape }
  private var p: LayerParameters<Double> { layer.parameters }

  func logits(_ t: Int) -> [Double] {
    (0..<shape.experts).map { i in
      (0..<shape.inputs).reduce(p.routerBias?[0, i] ?? 0) { $0 + p.router[i, $1] * layer.input[t, $1] }
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
    case .geluTanh:
      let root = (2 / Double.pi).squareRoot()
      let t = tanh(root * (z + 0.044715 * z * z * z))
      return (0.5 * z * (1 + t), 0.5 * (1 + t) + 0.5 * z * (1 - t * t) * root * (1 + 3 * 0.044715 * z * z))
    case .clampedSwiglu:
      let c = min(z, 7)
      let s = 1 / (1 + exp(-1.702 * c))
      return (c * s, z > 7 ? 0 : s + 1.702 * c * s * (1 - s))
    }
  }

  /// A unit of an expert: its value, and its slopes by both linear maps.
  private func unit(
    _ w: ExpertWeights<Double>, _ t: Int, _ row: Int
  ) -> (value: Double, slope: Double, upSlope: Double) {
    func linear(_ weights: Tensor<Double>, _ biases: Tensor<Double>?) -> Double {
      (0..<shape.inputs).reduce(biases?.elements[row] ?? 0) { $0 + weights[row, $1] * layer.input[t, $1] }
    }
    let act = activation(linear(w.weights1, w.biases1))
    guard let weights3 = w.weights3 else { return (act.value, act.slope, 0) }
    let z = linear(weights3, w.biases3)
    guard shape.activation == .clampedSwiglu else { return (act.value * z, act.slope * z, act.value) }
    let u = 1 + min(max(z, -7), 7)
    return (act.value * u, act.slope * u, z.magnitude <= 7 ? act.value : 0)
  }

  /// What shared experts put out, and its derivative by the input, `[outputs][inputs]`.
  private func shared(_ t: Int) -> (value: [Double], slopes: [[Double]]) {
    let (d, e) = (shape.inputs, shape.outputs)
    var value = [Double](repeating: 0, count: e)
    var slopes = [[Double]](repeating: [Double](repeating: 0, count: d), count: e)
    guard let w = p.shared else { return (value, slopes) }
    for s in 0..<w.count {
      let gate = p.sharedGate.map { row in
        1 / (1 + exp(-(0..<d).reduce(0) { $0 + row[s, $1] * layer.input[t, $1] }))
      }
      let units = (0..<w.hidden).map { unit(w, t, s * w.hidden + $0) }
      for j in 0..<e {
        let f = units.indices.reduce(w.biases2?[s, j] ?? 0) { $0 + w.weights2[s * e + j, $1] * units[$1].value }
        value[j] += (gate ?? 1) * f
        for c in 0..<d {
          for (k, unit) in units.enumerated() {
            let row = s * w.hidden + k
            slopes[j][c] +=
              (gate ?? 1) * w.weights2[s * e + j, k]
              * (unit.slope * w.weights1[row, c] + unit.upSlope * (w.weights3?[row, c] ?? 0))
          }
          if let gate, let vector = p.sharedGate { slopes[j][c] += f * gate * (1 - gate) * vector[s, c] }
        }
      }
    }
    return (value, slopes)
  }

  func output(_ t: Int, _ i: Int) -> [Double] {
    let hidden = (0..<shape.hidden).map { unit(p.experts, t, i * shape.hidden + $0).value }
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
    case .upstream(let u):
      return (y.indices.reduce(0) { $0 + u[t, $1] * y[$1] }, y.indices.map { u[t, $0] })
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
    let outputs = slots.map { $0.isStandIn ? standIn($0.expert) : output(t, $0.expert) }
    let shared = shared(t).value
    return (0..<shape.outputs).map { j in
      slots.indices.reduce((layer.residual ? layer.input[t, j] : 0) + shared[j]) {
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
    var w3 = [Double](repeating: 0, count: shape.isGated ? n * h * d : 0)
    var b3 = [Double](repeating: 0, count: shape.isGated ? n * h : 0)
    var b2 = [Double](repeating: 0, count: n * e)
    if layer.residual { for j in 0..<d { input[t * d + j] += upstream[j] } }
    if shape.shared != nil {
      let slopes = shared(t).slopes
      for j in 0..<e { for c in 0..<d { input[t * d + c] += upstream[j] * slopes[j][c] } }
    }
    for (i, _, m, isStandIn) in slots {
      let z = (0..<h).map { unit(p.experts, t, i * h + $0) }
      let y = isStandIn ? standIn(i) : output(t, i)
      for j in 0..<e {
        scale[j] += m * upstream[j] * y[j]
        guard !isStandIn else { continue }
        let v = m * (p.scale?[0, j] ?? 1) * upstream[j]
        b2[i * e + j] += v
        for k in 0..<h {
          w2[(i * e + j) * h + k] += v * z[k].value
          let u = v * p.weights2[i * e + j, k] * z[k].slope
          b1[i * h + k] += u
          let up = v * p.weights2[i * e + j, k] * z[k].upSlope
          if shape.isGated { b3[i * h + k] += up }
          for c in 0..<d {
            w1[(i * h + k) * d + c] += u * layer.input[t, c]
            input[t * d + c] += u * p.weights1[i * h + k, c]
            guard let weights3 = p.experts.weights3 else { continue }
            w3[(i * h + k) * d + c] += up * layer.input[t, c]
            input[t * d + c] += up * weights3[i * h + k, c]
          }
        }
      }
    }
    let weight = (0..<n * d).map { router[$0 / d] * layer.input[t, $0 % d] }
    let experts = w1 + w3 + (shape.hiddenBias ? b1 + b3 : []) + w2 + (shape.outputBias ? b2 : [])
    var all: Gradient = [.routerWeight: weight, .experts: experts, .input: input]
    if shape.routerBias { all[.routerBias] = router }
    if shape.scale { all[.scale] = scale }
    return all
  }

  func problem(_ t: Int) throws -> RoutedProblem {
    let loss: any Objective = FunctionLoss(dimension: shape.outputs) { [self] z in
      let shared = shared(t).value
      let y = z.indices.map { z[$0] + (layer.residual ? layer.input[t, $0] : 0) + shared[$0] }
      return self.loss(t, y)
    }
    return try RoutedProblem(
      .mixture(
        MixtureProblem(
          logits: logits(t), expertOutputs: (0..<shape.experts).map { output(t, $0) }, scale: p.scale?.values,
          standIns: layer.standIns.map { _ in (0..<shape.experts).map { standIn($0) } }, loss: loss)), mask: mask)
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
        return (1, mean(problem.distribution.support.map { (pi[$0], [($0, pi[$0], pi[$0], false)]) }, t, router))
      }
      let multipliers = outcome.multiplier ?? []
      if estimator is DenseBackward {
        let chosen = outcome.choice[0]
        return (
          outcome.probability,
          gradient(
            t, problem.distribution.support.map { ($0, $0 == chosen ? pi[$0] : 0, pi[$0], false) }, router: router)
        )
      }
      if let standing = estimator as? DefaultMoE, standing.k > 0 {
        let slots = problem.distribution.support.map { i in (i, pi[i], pi[i], !outcome.choice.contains(i)) }
        return (1, gradient(t, slots, router: router))
      }
      if found.samples == 2 {  // two runs, averaged
        return (
          outcome.probability,
          mean(zip(outcome.choice, multipliers).map { (0.5, [($0, $1, $1, false)]) }, t, router)
        )
      }
      return (
        outcome.probability, gradient(t, zip(outcome.choice, multipliers).map { ($0, $1, $1, false) }, router: router)
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
    case .denseMixture: return gradient(t, support.map { ($0, pi[$0], pi[$0], false) }, router: router)
    case .denseBackward:
      return mean(support.map { i in (pi[i], support.map { ($0, $0 == i ? pi[$0] : 0, pi[$0], false) }) }, t, router)
    case .expectedLoss:
      guard draws == 2 else { return mean(support.map { (pi[$0], [($0, pi[$0], pi[$0], false)]) }, t, router) }
      let pairs = try PairDistribution(problem)
      return mean(
        pairs.first.support.flatMap { i in
          (pairs.second[i]?.support ?? []).map { j in
            let second = pairs.second[i]?.probabilities[j] ?? 0
            return (pi[i] * second, [(i, pi[i], pi[i], false), (j, second, second, false)])
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
