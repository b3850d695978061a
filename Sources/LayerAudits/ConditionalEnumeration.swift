import RoutingCore
import RoutingExpectations

/// The router's gradient where what follows the layer is not one function of each token, as with attention above it: one
/// token's choice is enumerated while the others' are held at a draw.
///
/// With `L(D_1, …, D_T)` the network's loss, π^t the distribution of token t and m_t = π^t_{D_t} its multiplier,
/// ```
/// g_t(D) = J(π^t) [L_i + π^t_i ∂L_i/∂m_t]_i,    L_i = L(D with D_t = i),
/// ```
/// does not depend on D_t, and its mean over the other tokens' draws is `∂E[L]/∂θ_t` exactly: unbiased, with the noise of the
/// other choices alone. Averages over draws come with standard errors.
///
/// *Complexity*: a draw costs one forward and backward pass of the network for every expert that every token may be
/// sent to, `Σ_t |support_t|`: 8 tokens of 8 experts are 64 passes, 1024 tokens of 16 experts 16384. For large batches
/// name some of the tokens.
public enum ConditionalEnumeration {
  /// What the network says of one choice for every token.
  public struct Evaluation: Sendable {
    /// L.
    public var loss: Double
    /// `∂L/∂m_t`, `[tokens]`.
    public var slopes: [Double]

    /// Collects an evaluation.
    public init(loss: Double, slopes: [Double]) {
      self.loss = loss
      self.slopes = slopes
    }
  }

  /// An average over draws.
  public struct Estimate: Sendable, Equatable {
    /// The gradient of each named token's logits, `[named tokens][experts]`.
    public var mean: [[Double]]
    /// Its standard errors; infinite for one draw.
    public var standardError: [[Double]]
    /// The number of draws.
    public var draws: Int
    /// The passes of the network that it took.
    public var evaluations: Int
  }

  /// The gradients of some tokens' logits.
  ///
  /// - Parameters:
  ///   - tokens: whose gradients; nil for all.
  ///   - distributions: π of every token.
  ///   - draws: the number of draws, at least 1.
  ///   - seed: of the draws; draw k reads stream k.
  ///   - threads: the network is called from as many at once; the result does not depend on it.
  ///   - network: the loss for a choice for every token.
  public static func gradient(
    of tokens: [Int]? = nil, distributions: [RoutingDistribution], draws: Int, seed: UInt64, threads: Int = 1,
    network: @Sendable ([Int]) -> Evaluation
  ) -> Estimate {
    precondition(draws >= 1, "an average needs a draw, got \(draws)")
    let tokens = tokens ?? Array(distributions.indices)
    let samples = parallelMap(0..<draws, threads: threads) { draw in
      var random = Philox(seed: seed, stream: UInt64(draw))
      let choices = distributions.map { self.draw(from: $0, using: &random) }
      return tokens.map { gradient(of: $0, distributions: distributions, choices: choices, network: network) }
    }
    var accumulated = tokens.map { [MeanAndSpread](repeating: MeanAndSpread(), count: distributions[$0].experts) }
    for sample in samples {
      for (place, gradient) in sample.enumerated() {
        for (i, value) in gradient.enumerated() { accumulated[place][i].add(value) }
      }
    }
    return Estimate(
      mean: accumulated.map { $0.map(\.mean) }, standardError: accumulated.map { $0.map(\.standardError) },
      draws: draws, evaluations: draws * tokens.reduce(0) { $0 + distributions[$1].support.count })
  }

  /// `g_t(D)`, which is exact given the other tokens' choices.
  public static func gradient(
    of token: Int, distributions: [RoutingDistribution], choices: [Int], network: ([Int]) -> Evaluation
  ) -> [Double] {
    let distribution = distributions[token]
    var weights = [Double](repeating: 0, count: distribution.experts)
    var choices = choices
    for i in distribution.support {
      choices[token] = i
      let evaluation = network(choices)
      weights[i] = evaluation.loss + distribution.probabilities[i] * evaluation.slopes[token]
    }
    return distribution.jacobianProduct(weights)
  }

  private static func draw(from distribution: RoutingDistribution, using random: inout Philox) -> Int {
    let u = random.nextOpenUnit()
    var sum = 0.0
    for i in distribution.support {
      sum += distribution.probabilities[i]
      if u < sum { return i }
    }
    return distribution.support[distribution.support.count - 1]
  }

  /// Mean and squared deviations as numbers come in (Welford).
  private struct MeanAndSpread {
    var count = 0.0
    var mean = 0.0
    var spread = 0.0

    mutating func add(_ x: Double) {
      count += 1
      let difference = x - mean
      mean += difference / count
      spread += difference * (x - mean)
    }

    var standardError: Double {
      count > 1 ? (spread / (count - 1) / count).squareRoot() : .infinity
    }
  }
}
