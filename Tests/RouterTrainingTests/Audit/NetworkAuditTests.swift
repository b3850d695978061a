import CStandardLibrary
import GSLNumerics
import LayerTensors
import MixtureOfExperts
import RoutingCore
import Testing
import _TestSupport

@testable import RouterTraining

/// Every layer's figures against dense back-propagation written out: experts from their weights, gates by numerical derivatives.
struct NetworkAuditTests {
  private static let routers = [
    "switch", "switch:jitter=none", "masked-switch:threshold=0.3,jitter=none", "sparsemixer:threshold=0.5",
    "sparsemixer-v2:mask=none",
    "argmax-midpoint", "reinforce:mask=none", "dense-backward", "default-moe:k=1", "default-moe:k=2", "gshard", "base",
    "sparsemixer-v2-top2:mask=none", "switch:jitter=input", "top-k", "top-k:k=1,normalized=false",
    "top-k:k=2,score=sigmoid,factor=2.5",
  ]

  /// `Σ_i c_i g_i`, g the gates that experts have or would have, as a function of the logits θ; whatever is held is read off `at`.
  private static func gated(
    _ router: TrainingRouter, _ c: [Double], _ theta: [Double], at: [Double], jitter: [Double], first: Int
  )
    -> Double
  {
    func softmax(_ x: [Double], over kept: [Int]) -> [Double] {
      let total = kept.reduce(0) { $0 + exp(x[$1]) }
      return x.indices.map { kept.contains($0) ? exp(x[$0]) / total : 0 }
    }
    func sum(_ g: [Double]) -> Double { zip(c, g).reduce(0) { $0 + $1.0 * $1.1 } }
    let all = Array(theta.indices)
    let largest = at.max() ?? 0
    let kept = router.law.contrast.map { law in all.filter { law.mask.keeps(at[$0], largest: largest) } } ?? all
    switch router.id {
    case "base": return sum(theta.map { 1 / (1 + exp(-$0)) })
    case "gshard":
      let order = all.sorted { at[$0] > at[$1] }
      let (own, others) = (softmax(theta, over: Array(order[..<2])), softmax(theta, over: all))
      let held = softmax(at, over: all)
      return sum(all.map { order[..<2].contains($0) ? own[$0] : others[$0] / (held[order[0]] + held[order[1]]) })
    case "top-k":
      let (k, isNormalized) = (router.values.integer("k"), router.values.flag("normalized"))
      func scores(_ x: [Double]) -> [Double] {
        router.values.word("score") == "sigmoid" ? x.map { 1 / (1 + exp(-$0)) } : softmax(x, over: all)
      }
      func total(_ scores: [Double]) -> Double {
        isNormalized ? all.sorted { at[$0] > at[$1] }[..<k].reduce(0) { $0 + scores[$1] } : 1
      }
      let chosen = all.sorted { at[$0] > at[$1] }[..<k]
      let (own, held) = (scores(theta), total(scores(at)))
      return router.values.number("factor")
        * sum(all.map { chosen.contains($0) ? own[$0] / total(own) : own[$0] / held })
    case "sparsemixer-v2-top2":
      return sum(softmax(theta, over: all)) + sum(softmax(theta, over: all.filter { $0 != first }))
    default: return sum(softmax(zip(theta, jitter).map { $0 * $1 }, over: kept))
    }
  }

  /// What the jitter on the logits multiplied them by, of the token in row t.
  private static func jitter(_ router: TrainingRouter, layer: Int, layers: Int, rows: Int, row t: Int) -> [Double] {
    guard router.values["r"] != nil, router.values["jitter"] == nil || router.values.word("jitter") == "logits" else {
      return [1, 1, 1]
    }
    let randomness = SmallNetworks.randomness
    let stream = RandomStream.routing(step: randomness.step, layer: layer, layers: layers, tokens: rows) &+ UInt64(t)
    var random = Philox(seed: randomness.seed, stream: stream)
    return (0..<3).map { _ in 1 + router.values.number("r") * (2 * random.nextOpenUnit() - 1) }
  }

  private struct Written {
    var own: [Double] = []
    var seen: [Double] = []
    var dense: [Double] = []
    var inputs: [[Double]] = []

    /// Norm, bias, cosine and unseen share of a linear map of the gradients.
    func figures(_ map: ([Double]) -> [Double]) -> [Double] {
      func norm(_ x: [Double]) -> Double { x.reduce(0) { $0 + $1 * $1 }.squareRoot() }
      let (own, seen, dense) = (map(own), map(seen), map(dense))
      let unseen = zip(dense, seen).map { $0 - $1 }
      let product = zip(own, dense).reduce(0) { $0 + $1.0 * $1.1 }
      let (a, b) = (norm(seen) * norm(seen), norm(unseen) * norm(unseen))
      return [
        norm(dense), norm(zip(own, dense).map { $0 - $1 }) / norm(dense), product / norm(own) / norm(dense),
        b / (a + b),
      ]
    }

    /// `Σ_t ĝ_t ⊗ x_t`.
    func weight(_ gradient: [Double]) -> [Double] {
      var sum = [Double](repeating: 0, count: 3 * 8)
      for (t, x) in inputs.enumerated() {
        for i in 0..<3 { for j in 0..<8 { sum[8 * i + j] += gradient[3 * t + i] * x[j] } }
      }
      return sum
    }
  }

  private static func written(_ router: TrainingRouter, _ visit: RouterVisit<Double>) throws -> Written {
    let (p, tokens) = (visit.parameters, visit.workspace.tokens)
    var written = Written()
    for t in 0..<tokens {
      let x = (0..<8).map { visit.input[8 * t + $0] }
      let c = (0..<3).map { i in
        let hidden = (0..<6).map { h in
          max(0, (0..<8).reduce(p.biases1?[i, h] ?? 0) { $0 + p.weights1[6 * i + h, $1] * x[$1] })
        }
        return (0..<8).reduce(0.0) { sum, e in
          let f = (0..<6).reduce(p.biases2?[i, e] ?? 0) { $0 + p.weights2[8 * i + e, $1] * hidden[$1] }
          return sum + visit.upstream[8 * t + e] * (p.scale?.elements[e] ?? 1) * f
        }
      }
      let theta = visit.workspace.logitsAndGradient(token: t).logits
      let slots = (0..<visit.workspace.slotCount).map { visit.workspace.expert(token: t, slot: $0) }
      let jitter = jitter(router, layer: visit.index, layers: 2, rows: visit.workspace.maximumTokens, row: t)
      for (isAll, place) in [(true, \Written.dense), (false, \Written.seen)] {
        let c = (0..<3).map { isAll || slots.contains($0) ? c[$0] : 0 }
        for k in 0..<3 {
          let slope = try derivative(
            of: { shift in
              var moved = theta
              moved[k] += shift
              return gated(router, c, moved, at: theta, jitter: jitter, first: visit.workspace.chosenExpert(t))
            }, at: 0)
          written[keyPath: place].append(slope.value)
        }
      }
      written.own += visit.workspace.logitsAndGradient(token: t).gradient
      written.inputs.append(
        (0..<8).map { visit.workspace.jitteredInput?[t, $0] ?? visit.input[8 * t + $0] })
    }
    return written
  }

  @Test(arguments: routers, [nil, 1.0])
  func figuresAreThoseOfDenseBackPropagation(text: String, capacity: Double?) throws {
    let router = try TrainingRouter(text)
    let network = SmallNetworks.language(
      SmallNetworks.shape(expertsEvery: 1, dropout: 0.2, capacity: capacity), router: router.tokenRouter, sequences: 3)
    var layers = 0
    var failures: [String] = []
    try network.run(
      SmallNetworks.windows([4, 3, 4]), randomness: SmallNetworks.randomness,
      audit: AuditPass(factor: 0.1) { visit in
        layers += 1
        do {
          let layer = try #require(try visit.audit(name: "", threads: 2, continuing: { true }))
          let written = try Self.written(router, visit)
          for (found, map) in [(layer.logits, { $0 }), (layer.weight, written.weight)]
            as [(NetworkAudit.Gradient, ([Double]) -> [Double])]
          {
            let figures = [found.targetNorm, found.relativeBias, found.cosine, found.unseen].map { $0 ?? 0 }
            // Derivatives by differences are good to 1e-10; of bias and share there may be nothing but rounding.
            expectClose(figures, written.figures(map), relative: 1e-9, scale: 1, "\(text), layer \(visit.index)")
          }
          #expect(layer.tokens == 11 && layer.experts == 3)
          #expect(layer.turnedAway == 0 || capacity != nil)
        } catch {
          failures.append("\(error)")
        }
      }, threads: 1)
    #expect(layers == 2 && failures.isEmpty, "\(failures)")
  }

  /// Where training hands back what a dense pass would, there is no bias; where one expert is seen, there is.
  @Test func whatIsKnownBeforehand() throws {
    for (text, isDense) in [("dense-backward", true), ("switch", false)] {
      let network = SmallNetworks.language(
        SmallNetworks.shape(expertsEvery: 1), router: try TrainingRouter(text).tokenRouter, sequences: 2)
      var layers: [NetworkAudit.Layer] = []
      try network.run(
        SmallNetworks.windows([4, 4]), randomness: SmallNetworks.randomness,
        audit: AuditPass(factor: 0.1) { visit in
          if let layer = try? visit.audit(name: "", threads: 1, continuing: { true }) { layers.append(layer) }
        }, threads: 1)
      #expect(layers.count == 2)
      for layer in layers {
        let (bias, unseen) = (try #require(layer.logits.relativeBias), try #require(layer.logits.unseen))
        if isDense {
          #expect(bias < 1e-14 && unseen == 0 && (layer.logits.cosine ?? 0) > 1 - 1e-12)
        } else {
          #expect(bias > 0.1 && unseen > 0.1)
        }
        let load = try #require(layer.largestLoad)
        #expect((1...3).contains(load))
      }
    }
  }
}
