import CStandardLibrary
import GSLNumerics
import LayerAudits
import RoutingCore
import Testing
import _TestSupport

/// Three tokens of three experts under a loss that mixes them.
@Suite struct ConditionalEnumerationTests {
  private static let logits: [[Double]] = [[0.3, -1.2, 0.8], [0.1, 0.4, -0.5], [-0.2, 0.9, 0.6]]
  private static let outputs: [[Double]] = [[0.4, -1.1, 0.7], [1.3, 0.2, -0.6], [-0.8, 0.5, 1.0]]

  private static func distributions(_ logits: [[Double]]) -> [RoutingDistribution] {
    logits.map { RoutingDistribution(logits: $0) }
  }

  /// `tanh(Σ_t m_t f_t) + (Π_t m_t f_t)`: no sum over tokens.
  private static func network(
    _ distributions: [RoutingDistribution]
  ) -> @Sendable ([Int]) -> ConditionalEnumeration.Evaluation {
    { choices in
      let m = choices.indices.map { distributions[$0].probabilities[choices[$0]] }
      let f = choices.indices.map { outputs[$0][choices[$0]] }
      let parts = zip(m, f).map { $0 * $1 }
      let bent = tanh(parts.reduce(0, +))
      return ConditionalEnumeration.Evaluation(
        loss: bent + parts.reduce(1, *),
        slopes: f.indices.map { t in
          (1 - bent * bent) * f[t] + f.indices.reduce(1) { $0 * ($1 == t ? f[t] : parts[$1]) }
        })
    }
  }

  private static let choices = (0..<27).map { [$0 / 9, $0 / 3 % 3, $0 % 3] }

  private static func expectedLoss(_ logits: [[Double]]) -> Double {
    let distributions = distributions(logits)
    let network = network(distributions)
    return choices.reduce(0) { sum, choice in
      sum + (0..<3).reduce(network(choice).loss) { $0 * distributions[$1].probabilities[choice[$1]] }
    }
  }

  @Test("its mean over the other tokens' draws is the derivative of the expected loss", arguments: 0..<3)
  func unbiased(_ token: Int) throws {
    let distributions = Self.distributions(Self.logits)
    var mean = [0.0, 0.0, 0.0]
    for choice in Self.choices {
      let share = (0..<3).reduce(1.0) { $0 * distributions[$1].probabilities[choice[$1]] }
      let gradient = ConditionalEnumeration.gradient(
        of: token, distributions: distributions, choices: choice, network: Self.network(distributions))
      for i in 0..<3 { mean[i] += share * gradient[i] }
    }
    for i in 0..<3 {
      let numerical = try derivative(
        of: { x in
          var logits = Self.logits
          logits[token][i] = x
          return Self.expectedLoss(logits)
        }, at: Self.logits[token][i])
      expectClose(mean[i], numerical.value, within: 1e-10 + 10 * numerical.error)
    }
  }

  @Test("draws: cost, threads, standard errors")
  func draws() {
    let distributions = Self.distributions(Self.logits)
    func estimate(_ draws: Int, _ threads: Int) -> ConditionalEnumeration.Estimate {
      ConditionalEnumeration.gradient(
        of: [2, 0], distributions: distributions, draws: draws, seed: 5, threads: threads,
        network: Self.network(distributions))
    }
    let one = estimate(400, 1)
    #expect(estimate(400, 3) == one)
    #expect(one.evaluations == 400 * 6 && one.mean.count == 2)
    // A hundred times the draws: a tenth of the standard error, which is itself known to a few per cent of that.
    let many = estimate(40_000, 2)
    for (a, b) in zip(one.standardError.joined(), many.standardError.joined()) where b > 0 {
      #expect((7...13).contains(a / b), "\(a), \(b)")
    }
    // Six standard errors: a false alarm in less than one of 10⁷ seeds, over six coordinates; the seed is fixed.
    for (k, token) in [2, 0].enumerated() {
      var exact = [0.0, 0.0, 0.0]
      for choice in Self.choices {
        let share = (0..<3).reduce(1.0) { $0 * distributions[$1].probabilities[choice[$1]] }
        let gradient = ConditionalEnumeration.gradient(
          of: token, distributions: distributions, choices: choice, network: Self.network(distributions))
        for i in 0..<3 { exact[i] += share * gradient[i] }
      }
      for i in 0..<3 {
        #expect((many.mean[k][i] - exact[i]).magnitude <= 6 * many.standardError[k][i] + 1e-15)
      }
    }
    #expect(estimate(1, 1).standardError.joined().allSatisfy { $0 == .infinity })
  }
}
