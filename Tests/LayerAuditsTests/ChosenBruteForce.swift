import LayerTensors
import RouterSpecifications
import RoutingCore
import RoutingEstimators
import _TestSupport

@testable import LayerAudits

/// What estimators and targets make of a layer whose router chooses, with every product written out and differentiated by a tape.
///
/// Of the audit it takes nothing but the layer; choices over a batch (capacity, expert choice) are `RouterReference`'s.
struct ChosenBruteForce {
  let layer: DumpedLayer
  let specification: RouterSpecification
  /// Which experts tokens want and have, where that is decided over the batch.
  let batch: (wanted: [[Int]], choice: [[Int]])?

  init(_ layer: DumpedLayer) {
    self.layer = layer
    guard let router = layer.router else { preconditionFailure("a layer with a router") }
    specification = router.specification
    let isJoint = if case .expertChoice = specification.selection { true } else { specification.capacity != nil }
    guard isJoint else {
      batch = nil
      return
    }
    let (n, d) = (layer.shape.experts, layer.shape.inputs)
    let logits = (0..<layer.tokens).map { t in
      (0..<n).map { i in
        (0..<d).reduce(layer.parameters.routerBias?[0, i] ?? 0) {
          $0 + layer.parameters.router[i, $1] * layer.input[t, $1]
        }
      }
    }
    let zeros = [[[Double]]](repeating: [[Double]](repeating: [0], count: n), count: layer.tokens)
    let call = RouterCall(
      mode: .eval, logits: logits, expertOutputs: zeros, upstream: logits.map { _ in [0] }, uniforms: [])
    let reference = RouterReference(specification)
    batch = (reference.wanted(by: call) ?? [], reference.answer(to: call)?.choice ?? [])
  }

  /// Whose gradient is asked for.
  enum Subject: Hashable {
    case conventional, straightThrough, denseMixer, denseMixerOfSoftmax, denseBackward, standIns, denseMixture
  }

  /// The mean gradients by name in files, and the mean loss of the forward pass.
  func gradient(_ subject: Subject) -> (gradient: [String: [Double]], loss: Double) {
    var total: [String: [Double]] = [:]
    var loss = 0.0
    for (name, tensor) in layer.parameters.all { total[name] = [Double](repeating: 0, count: tensor.count) }
    total["input"] = [Double](repeating: 0, count: layer.input.count)
    for t in 0..<layer.tokens {
      let token = Token(self, t)
      let (surrogate, value) = token.surrogate(subject)
      let slopes = token.tape.gradient(of: surrogate)
      for (name, numbers) in token.variables {
        for (k, number) in numbers.enumerated() { total[name]?[k] += slopes[number.node] / Double(layer.tokens) }
      }
      for (k, number) in token.x.enumerated() {
        total["input"]?[t * layer.shape.inputs + k] = slopes[number.node] / Double(layer.tokens)
      }
      loss += value / Double(layer.tokens)
    }
    return (total, loss)
  }

  /// The change of a token's loss with another expert for its last one, NaN where there is none.
  func swaps(_ t: Int) -> [Double] {
    let token = Token(self, t)
    let own = token.value(token.mixed(token.chosen))
    return (0..<layer.shape.experts).map { i in
      guard let last = token.chosen.last, !token.chosen.contains(i) else { return .nan }
      _ = last
      return token.value(token.mixed(Array(token.chosen.dropLast()) + [i])) - own
    }
  }

  /// One token on a tape.
  struct Token {
    let brute: ChosenBruteForce
    let t: Int
    let tape = Tape()
    let variables: [String: [Number]]
    let x: [Number]
    private(set) var logits: [Number] = []
    private(set) var scores: [Number] = []
    /// What it wants, which gates are divided over, and what it has.
    private(set) var wanted: [Int] = []
    private(set) var chosen: [Int] = []

    private var layer: DumpedLayer { brute.layer }
    private var shape: LayerShape { layer.shape }
    private var specification: RouterSpecification { brute.specification }

    init(_ brute: ChosenBruteForce, _ t: Int) {
      self.brute = brute
      self.t = t
      let (layer, tape) = (brute.layer, self.tape)
      variables = Dictionary(
        uniqueKeysWithValues: layer.parameters.all.map { ($0.name, $0.tensor.values.map { tape.number($0) }) })
      x = (0..<layer.shape.inputs).map { tape.number(layer.input[t, $0]) }
      logits = (0..<layer.shape.experts).map { i in
        linear("router.weight", row: i, x, bias: "router.bias")
      }
      let tau = specification.score.temperature
      switch specification.score.function {
      case .sigmoid: scores = logits.map { (1 / tau * $0).sigmoid }
      case .relu: scores = logits.map { (1 / tau * $0).positive }
      default:
        let e = logits.map { (1 / tau * $0).exp }
        scores = e.map { $0 / e.sum }
      }
      wanted = brute.batch?.wanted[t] ?? choice()
      chosen = brute.batch?.choice[t] ?? wanted
    }

    private func linear(_ name: String, row: Int, _ x: [Number], bias: String?) -> Number {
      let sum = x.indices.map { variables[name]![row * x.count + $0] * x[$0] }.sum
      return bias.flatMap { variables[$0] }.map { sum + $0[row] } ?? sum
    }

    // MARK: - Router

    private func choice() -> [Int] {
      var keys = (specification.key == .score ? scores : logits).map(\.value)
      if let bias = layer.router?.selectionBias { keys = zip(keys, bias).map { $0 + $1 } }
      if let groups = specification.groups {
        let size = keys.count / groups.count
        let worth = (0..<groups.count).map { g in
          let own = keys[g * size..<(g + 1) * size].sorted(by: >)
          return groups.score == .max ? own[0] : own.prefix(2).reduce(0, +)
        }
        let kept = worth.indices.sorted { worth[$0] > worth[$1] }.prefix(groups.kept)
        for i in keys.indices where !kept.contains(i / size) { keys[i] = -.infinity }
      }
      let order = keys.indices.filter { keys[$0] > -.infinity }.sorted { keys[$0] > keys[$1] }
      switch specification.selection {
      case .topK(let k): return Array(order.prefix(k))
      case .threshold(let above, let k): return order.prefix(k).filter { keys[$0] > above }
      case .topP(let mass, let k):
        var (found, sum) = ([Int](), 0.0)
        for i in order.prefix(k) where sum < mass {
          found.append(i)
          sum += scores[i].value
        }
        return found
      default: preconditionFailure("not written out here")
      }
    }

    /// h of each expert, and D with and without its derivative.
    private func parts(_ experts: [Int]) -> (h: [Number], divisor: Number?) {
      guard let gate = specification.gate else { preconditionFailure("a gate") }
      var h = scores
      var isNormalized = gate.isNormalized
      if gate.source == .sigmoidOfLogit { h = logits.map(\.sigmoid) }
      if gate.source == .softmaxOverChosen {
        let e = logits.map(\.exp)
        h = e.map { $0 / e.sum }
        isNormalized = true
      }
      guard isNormalized, !experts.isEmpty else { return (h, nil) }
      let sum = experts.map { h[$0] }.sum + gate.epsilon
      return (h, gate.floor > 0 && sum.value <= gate.floor ? tape.number(gate.floor) : sum)
    }

    private func factor(_ i: Int) -> Double { (specification.gate?.scale ?? 1) * (layer.router?.expertScales?[i] ?? 1) }

    /// g of experts if those are chosen.
    func gates(_ experts: [Int]) -> [Number] {
      let (h, divisor) = parts(experts == chosen ? wanted : experts)
      return experts.map { i in factor(i) * (divisor.map { h[i] / $0 } ?? h[i]) }
    }

    /// The dense form of every expert.
    func dense() -> [Number] {
      let (h, divisor) = parts(wanted)
      return h.indices.map { i in
        let held = chosen.contains(i) ? divisor : divisor?.detached
        return factor(i) * (held.map { h[i] / $0 } ?? h[i])
      }
    }

    // MARK: - Experts

    private func unit(_ family: String, _ row: Int, _ x: [Number]) -> Number {
      let z = linear("\(family).w1", row: row, x, bias: "\(family).b1")
      let isClamped = shape.activation == .clampedSwiglu
      let act: Number
      switch shape.activation {
      case .relu: act = z.positive
      case .gelu: act = 0.5 * z * ((1 / 2.0.squareRoot() * z).erf + 1)
      case .silu: act = z * z.sigmoid
      case .geluTanh:
        let inside = (2 / Double.pi).squareRoot() * (z + 0.044715 * (z * z * z))
        act = 0.5 * z * (inside.tanh + 1)
      case .clampedSwiglu:
        let c = z.clamped(-.infinity, 7)
        act = c * (1.702 * c).sigmoid
      }
      guard variables["\(family).w3"] != nil else { return act }
      let u = linear("\(family).w3", row: row, x, bias: "\(family).b3")
      return act * (isClamped ? u.clamped(-7, 7) + 1 : u)
    }

    private func expert(_ family: String, _ i: Int, hidden: Int, _ x: [Number]) -> [Number] {
      let units = (0..<hidden).map { unit(family, i * hidden + $0, x) }
      return (0..<shape.outputs).map {
        linear("\(family).w2", row: i * shape.outputs + $0, units, bias: "\(family).b2")
      }
    }

    func output(_ i: Int) -> [Number] { expert("experts", i, hidden: shape.hidden, x) }

    /// Past the experts that are routed to.
    private func bypass() -> [Number] {
      var y = (0..<shape.outputs).map { layer.residual ? x[$0] : tape.number(0) }
      for j in 0..<(shape.shared?.count ?? 0) {
        var s = expert("shared", j, hidden: shape.shared?.hidden ?? 0, x)
        if variables["shared.gate"] != nil {
          let gate = linear("shared.gate", row: j, x, bias: nil).sigmoid
          s = s.map { gate * $0 }
        }
        y = zip(y, s).map { $0 + $1 }
      }
      return y
    }

    private func scaled(_ f: [Number]) -> [Number] { variables["scale"].map { zip($0, f).map { $0 * $1 } } ?? f }

    private func sum(_ terms: [[Number]]) -> [Number] {
      terms.reduce((0..<shape.outputs).map { _ in tape.number(0) }) { zip($0, $1).map { $0 + $1 } }
    }

    /// y with some experts.
    func mixed(_ experts: [Int], _ more: [[Number]] = []) -> [Number] {
      let routed = sum(zip(experts, gates(experts)).map { i, g in output(i).map { g * $0 } } + more)
      return zip(bypass(), scaled(routed)).map { $0 + $1 }
    }

    // MARK: - Losses

    func loss(_ y: [Number]) -> Number {
      switch layer.loss {
      case .squaredError(let targets):
        return 0.5 * y.indices.map { j in (y[j] + -targets[t, j]) * (y[j] + -targets[t, j]) }.sum
      case .upstream(let u): return y.indices.map { u[t, $0] * y[$0] }.sum
      case .crossEntropy(let unembedding, let labels):
        let scores = (0..<unembedding.rows).map { c in y.indices.map { unembedding[c, $0] * y[$0] }.sum }
        return scores.map(\.exp).sum.log - scores[labels[t]]
      }
    }

    func value(_ y: [Number]) -> Double { loss(y).value }

    /// G' at y, as constants.
    private func slopes(_ y: [Number]) -> [Double] {
      let copy = y.map(\.detached)
      let gradient = tape.gradient(of: loss(copy))
      return copy.map { gradient[$0.node] }
    }

    /// What a subject differentiates, and the loss of its forward pass.
    func surrogate(_ subject: Subject) -> (Number, Double) {
      let y = mixed(chosen)
      let value = loss(y).value
      let dense = dense()
      func times(_ u: [Double], _ v: [Number]) -> Number { zip(u, v).map { $0 * $1 }.sum }
      func detached(_ f: [Number]) -> [Number] { f.map(\.detached) }
      switch subject {
      case .conventional: return (loss(y), value)
      case .denseBackward:
        let all = sum(dense.indices.map { i in output(i).map { dense[i] * $0 } })
        return (times(slopes(y), zip(bypass(), scaled(all)).map { $0 + $1 }), value)
      case .denseMixer, .denseMixerOfSoftmax:
        let softmax = parts(wanted).h.enumerated().map { factor($0) * $1 }
        let branch = subject == .denseMixer ? dense : softmax
        let own = sum(zip(chosen, gates(chosen)).map { i, g in output(i).map { g.detached * $0 } })
        let routing = sum(branch.indices.map { i in detached(scaled(output(i))).map { branch[i] * $0 } })
        return (times(slopes(y), zip(zip(bypass(), scaled(own)).map { $0 + $1 }, routing).map { $0 + $1 }), value)
      case .straightThrough:
        let routing = sum(
          dense.indices.map { i in detached(scaled(output(i))).map { dense[i].detached * scores[i] * $0 } })
        return (times(slopes(y), zip(y, routing).map { $0 + $1 }), value)
      case .standIns:
        let others = dense.indices.filter { !chosen.contains($0) }.map { i in
          (0..<shape.outputs).map { (layer.standIns?[i, $0] ?? 0) * dense[i] }
        }
        let with = mixed(chosen, others)
        return (times(slopes(with), with), value)
      case .denseMixture: return (loss(mixed(Array(0..<shape.experts))), value)
      }
    }
  }
}
