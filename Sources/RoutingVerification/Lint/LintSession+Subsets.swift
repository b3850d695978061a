import CStandardLibrary
import RouterSpecifications
import RoutingCore

// The law by which subsets are drawn, where the gates are its marginals.

extension LintSession {
  /// Rates of the test: a sound router refuted, and one that draws its experts one after the other not refuted.
  private static var rates: (falseFail: Double, falsePass: Double) { (1e-6, 1e-3) }
  /// The most draws that are asked for, and how many in a call.
  private static var mostDraws: Int { 1 << 16 }
  private static var drawsInACall: Int { 256 }

  /// Holds subsets that are drawn to the law that the gates are marginals of, `P(S) ∝ Π s_i/(1 − s_i)`, by how often each comes up: a likelihood ratio
  /// of which the expectation is 1 if the law is right (``ChoiceFrequencyTest``). The logits are those, of a few kinds, at which drawing one after the other
  /// differs most, and the draws as many as it takes to refute that.
  ///
  /// - Returns: what was found; nil where the law is not told by the gates, or something else has a say in it.
  func drawnSubsets() throws(Stop) -> String? {
    guard case .sampled(let k) = specification.selection, specification.gate?.source == .subsetMarginal,
      k < profile.experts, specification.noise == nil, specification.mask == .none, specification.groups == nil,
      !specification.hasSelectionBias, specification.capacity == nil, specification.alwaysChosen == 0,
      specification.nullExperts == nil
    else { return nil }
    guard profile.draws else { throw .undecided("it takes no draws, so that the law of its subsets cannot be seen") }
    guard let design = SubsetDesign(k: k, experts: profile.experts, specification.score) else { return nil }
    var test = ChoiceFrequencyTest(probabilities: design.probabilities)
    let wanted = min(design.draws(falseFailRate: Self.rates.falseFail), Self.mostDraws)
    while test.count < wanted {
      var call = randomCall(tokens: Self.drawsInACall)
      call.logits = call.logits.map { _ in design.logits }
      // In steps that Float32 tells apart, and finer than the probabilities are told apart.
      call.uniforms = call.uniforms.map { $0.map { _ in (Double(generator.next() >> 41) + 0.5) * 0x1p-23 } }
      for row in try ask(call).choice {
        test.add(design.place(of: row))
        guard test.logEValue < -log(Self.rates.falseFail) else {
          throw .refuted(
            "logits \(Words.list(Array(design.logits.prefix(design.kept)))): in \(test.count) draws the subsets do not come as "
              + "P(S) ∝ Π s/(1 − s) has them (a sound router is refuted with probability \(Words.number(Self.rates.falseFail)))"
              + (design.resembles(test.counts) ? "; they come as of a router that draws them one after the other" : ""))
        }
      }
    }
    return
      "in \(test.count) draws subsets come as P(S) ∝ Π s/(1 − s) has them, where one after the other would be refuted but with probability "
      + Words.number(Self.rates.falsePass)
  }
}

/// Logits at which the two laws of subsets differ, and both laws there.
private struct SubsetDesign {
  /// θ, `[experts]`; all but the first ``kept`` are so small that they are not drawn.
  var logits: [Double]
  var kept: Int
  /// The subsets of the kept experts; what comes last stands for all others.
  private var places: [[Int]: Int] = [:]
  private(set) var probabilities: [Double] = []
  /// The same if experts are drawn one after the other in proportion to s.
  private var sequential: [Double] = []
  /// `Σ q log(q/p)`, q the sequential law, and the variance of the logarithm.
  private var divergence = 0.0
  private var spread = 0.0

  /// The best of some logits; nil if there is nothing to tell apart.
  init?(k: Int, experts: Int, _ score: RouterSpecification.Score) {
    guard k >= 2, k <= 8, score.function == .softmax || score.function == .sigmoid else { return nil }
    let kept = min(experts, k + 3)
    let steps = [0.5, 1, 1.5].map { step in (0..<kept).map { -step * Double($0) } }
    let ahead = [1, k - 1].map { leaders in (0..<kept).map { $0 < leaders ? 3.0 : 0 } }
    var best: SubsetDesign?
    for pattern in steps + ahead {
      guard let design = SubsetDesign(k, experts, pattern, score) else { continue }
      if design.divergence > best?.divergence ?? 0 { best = design }
    }
    guard let best, best.divergence > 1e-4 else { return nil }
    self = best
  }

  private init?(_ k: Int, _ experts: Int, _ pattern: [Double], _ score: RouterSpecification.Score) {
    kept = pattern.count
    let low = (pattern.min() ?? 0) - 40
    logits = (0..<experts).map { $0 < pattern.count ? pattern[$0] * score.temperature : low * score.temperature }
    let x = logits.map { $0 / score.temperature }
    // log s/(1 − s), and log s.
    let odds = score.function == .softmax ? logOdds(x) : x
    let logarithms = score.function == .softmax ? x : x.map { -log1p(exp(-$0)) }
    guard let one = try? ConditionalBernoulli(logits: odds, size: k),
      let other = try? PlackettLuce(logits: logarithms, size: k)
    else { return nil }
    var subset = Array(0..<k)
    while true {
      places[subset] = probabilities.count
      probabilities.append(min(one.probability(of: subset).value, 1))
      sequential.append(min(exp(other.logProbability(of: subset)), 1))
      guard let last = subset.indices.last(where: { subset[$0] < kept - k + $0 }) else { break }
      subset[last] += 1
      for next in last + 1..<max(k, last + 1) { subset[next] = subset[next - 1] + 1 }
    }
    probabilities.append(max(1 - probabilities.reduce(0, +), 0x1p-60))
    sequential.append(max(1 - sequential.reduce(0, +), 0x1p-60))
    for (p, q) in zip(probabilities, sequential).dropLast() {
      divergence += q * log(q / p)
      spread += q * log(q / p) * log(q / p)
    }
    spread -= divergence * divergence
  }

  /// The place of a choice among the probabilities.
  func place(of choice: [Int]) -> Int { places[choice.sorted()] ?? probabilities.count - 1 }

  /// After how many draws the sequential law is refuted, but for a tenth of ``LintSession``'s rate: the logarithm of its likelihood ratio, less what the mixture of the test costs
  /// (Jeffreys', half a logarithm of the draws for each free probability), by the normal approximation.
  func draws(falseFailRate: Double) -> Int {
    var n = 256.0
    func falls(_ n: Double) -> Bool {
      let deviation = 3.7 * (spread * n).squareRoot()  // beyond it with probability 1e-4
      let cost = 0.5 * Double(probabilities.count - 1) * log(n) + 2
      return n * divergence - deviation - cost < -log(falseFailRate)
    }
    while falls(n), n < 1e7 { n *= 1.25 }
    return Int(n)
  }

  /// Whether the sequential law is a thousand times likelier than the other by what came up.
  func resembles(_ counts: [Int]) -> Bool {
    var ratio = 0.0
    for (place, count) in counts.enumerated() where count > 0 {
      ratio += Double(count) * log(sequential[place] / probabilities[place])
    }
    return ratio > log(1000)
  }
}
