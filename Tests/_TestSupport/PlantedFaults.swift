import RoutingCore
import RoutingEstimators

/// An estimator that is wrong on purpose.
public struct FaultyEstimator: FiniteOutcomeEstimator {
  public static let id = "planted-fault"

  public let claims: Claims
  private let list: @Sendable (RoutedProblem) throws(Unavailable) -> OutcomeDistribution

  /// An estimator with these outcomes that claims what its sound twin claims.
  init(claims: Claims, _ list: @escaping @Sendable (RoutedProblem) throws(Unavailable) -> OutcomeDistribution) {
    self.claims = claims
    self.list = list
  }

  /// It is in no registry, and not made from parameters.
  public init(_ values: ParameterValues) throws(InvalidEstimator) {
    throw InvalidEstimator("a planted fault is not made from parameters")
  }

  public func outcomes(of problem: RoutedProblem) throws(Unavailable) -> OutcomeDistribution {
    try list(problem)
  }
}

/// A mistake, the sound estimator that it was made in, and the checks that must catch it.
public struct PlantedFault: Sendable {
  /// What was done wrong.
  public let name: String
  /// The sound estimator's specification.
  public let twin: String
  /// The wrong one.
  public let estimator: FaultyEstimator
  /// The checks that catch it, at the least.
  public let caughtBy: [ConformanceCheck]

  init(
    _ name: String, in twin: String, caughtBy: [ConformanceCheck],
    _ list:
      @escaping @Sendable (any FiniteOutcomeEstimator, RoutedProblem) throws(Unavailable) ->
      OutcomeDistribution
  ) {
    guard let sound = try? EstimatorSpecifications.finite(twin) else {
      preconditionFailure("there is no estimator '\(twin)'")
    }
    self.name = name
    self.twin = twin
    self.caughtBy = caughtBy
    estimator = FaultyEstimator(claims: sound.claims) { (problem) throws(Unavailable) in
      try list(sound, problem)
    }
  }
}

// MARK: - Ways to spoil a list of outcomes

extension OutcomeDistribution {
  /// The same list with every gradient changed; `body` gets the outcome and its gradient.
  fileprivate func changingGradients(_ body: (Outcome, [Double]) -> [Double]) -> OutcomeDistribution {
    changingOutcomes { outcome in
      var changed = outcome
      changed.gradient = .dense(body(outcome, gradient(of: outcome)))
      return changed
    }
  }

  fileprivate func changingOutcomes(_ body: (Outcome) -> Outcome) -> OutcomeDistribution {
    OutcomeDistribution(distribution: distribution, followUps: followUps, outcomes: outcomes.map(body))
  }
}

extension RayRule {
  fileprivate func on(_ problem: RoutedProblem) throws(Unavailable) -> OutcomeDistribution {
    outcomes(on: problem.distribution, rays: try problem.rays(nodes: nodes))
  }
}

extension RoutedProblem {
  /// One outcome for each expert: a gradient for D and ∂F/∂D, and the gating sample.
  fileprivate func relaxed(
    _ backward: (Int, [Double]) -> [Double]
  ) throws(Unavailable) -> OutcomeDistribution {
    let gating = try gatingWeights()
    var outcomes: [Outcome] = []
    for i in distribution.support {
      let sample = backward(i, try choiceGradient(at: i))
      let score = score(of: i)
      outcomes.append(
        Outcome(
          choice: [i], probability: distribution.probabilities[i],
          gradient: .dense(zip(sample, score).map { $0 + gating[i] * $1 })))
    }
    return OutcomeDistribution(distribution: distribution, outcomes: outcomes)
  }

  fileprivate func score(of i: Int) -> [Double] {
    distribution.probabilities.enumerated().map { ($0.offset == i ? 1 : 0) - $0.element }
  }

  fileprivate func softmax(temperature: Double) -> RoutingDistribution {
    RoutingDistribution(logits: problem.logits, mask: mask, temperature: temperature)
  }

  fileprivate func routed(by mask: Mask) -> RoutedProblem {
    kind == .mixture ? (try? RoutedProblem(problem, mask: mask)) ?? self : self
  }

  /// REINFORCE with a baseline for each expert.
  fileprivate func reinforced(
    baseline: (Int, [Double]) -> Double, gating isKept: Bool = true
  ) throws(Unavailable) -> OutcomeDistribution {
    let values = try values()
    let gating = try gatingWeights()
    return OutcomeDistribution(
      distribution: distribution,
      outcomes: distribution.support.map { i in
        Outcome(
          choice: [i], probability: distribution.probabilities[i],
          gradient: .score(weight: values[i] - baseline(i, values) + (isKept ? gating[i] : 0)))
      })
  }
}

/// `J(p) w` for any vector p.
private func jacobianProduct(_ p: [Double], _ w: [Double]) -> [Double] {
  let mean = dot(p, w)
  return zip(p, w).map { $0 * ($1 - mean) }
}

// MARK: - The faults

extension PlantedFault {
  /// All of them.
  public static let all: [PlantedFault] =
    factors + detachments + nodesAndCoins + relaxations + scores + routing + subsets

  private static let factors: [PlantedFault] = [
    PlantedFault("factor 2 dropped", in: "first-order", caughtBy: [.exactness, .referenceMoments]) {
      (_, problem) throws(Unavailable) in try Conventional().outcomes(of: problem)
    },
    PlantedFault("factor 2 kept in the conventional gradient", in: "conventional", caughtBy: [.exactness]) {
      (_, problem) throws(Unavailable) in try FirstOrder().outcomes(of: problem)
    },
    PlantedFault("factor 2 dropped on one side of the coin", in: "midpoint", caughtBy: [.exactness]) {
      (_, problem) throws(Unavailable) in
      let half = RayRule.Side(label: 0, probability: 0.5, weights: [0, 1], output: 0.5)
      let full = RayRule.Side(label: 1, probability: 0.5, weights: [2, 0])
      return try RayRule(nodes: [1, 0.5], others: [half, full]).on(problem)
    },
    PlantedFault(
      "probabilities of a signed rule not made up for", in: "quadrature:rule=rkf5,evaluation=one-node",
      caughtBy: [.exactness, .referenceMoments]
    ) { (sound, problem) throws(Unavailable) in
      try sound.outcomes(of: problem).changingGradients { outcome, gradient in
        outcome.coins == [3] ? gradient : gradient.map { 0.9 * $0 }
      }
    },
  ]

  private static let detachments: [PlantedFault] = [
    PlantedFault("combine weights without gradient", in: "conventional", caughtBy: [.exactness]) {
      (sound, problem) throws(Unavailable) in
      try sound.outcomes(of: problem).changingGradients { _, gradient in gradient.map { _ in 0 } }
    }
  ]

  private static let nodesAndCoins: [PlantedFault] = [
    PlantedFault("node ⅓ for ½", in: "midpoint", caughtBy: [.exactness, .offArgmaxDegree]) {
      (_, problem) throws(Unavailable) in
      var rule = Midpoint().rule
      rule.nodes = [1, 1.0 / 3]
      return try rule.on(problem)
    },
    PlantedFault(
      "node ⅓ for ½ in SparseMixer", in: "sparsemixer", caughtBy: [.offArgmaxDegree, .referenceMoments]
    ) {
      (_, problem) throws(Unavailable) in
      var rule = SparseMixer().rule
      rule.nodes = [1, 1.0 / 3]
      return try rule.on(problem)
    },
    PlantedFault(
      "node ½ for ⅓", in: "sparsemixer-v2:reference-constants=false",
      caughtBy: [.offArgmaxDegree, .referenceMoments]
    ) { (_, problem) throws(Unavailable) in
      var rule = SparseMixerV2().rule
      rule.nodes = [1, 0.5]
      return try rule.on(problem)
    },
    PlantedFault(
      "0.3333 for ⅓", in: "sparsemixer-v2:reference-constants=false",
      caughtBy: [.offArgmaxDegree, .referenceMoments]
    ) { (_, problem) throws(Unavailable) in
      try SparseMixerV2(referenceConstants: true).outcomes(of: problem)
    },
    PlantedFault("coin of 0.6 for ½", in: "midpoint", caughtBy: [.exactness, .offArgmaxDegree]) {
      (_, problem) throws(Unavailable) in
      var rule = Midpoint().rule
      rule.argmax = zip(rule.argmax, [0.6, 0.4]).map {
        RayRule.Side(label: $0.label, probability: $1, weights: $0.weights, output: $0.output)
      }
      rule.others = rule.argmax
      return try rule.on(problem)
    },
    PlantedFault(
      "coin of ½ for ¾", in: "sparsemixer-v2:reference-constants=false",
      caughtBy: [.offArgmaxDegree, .referenceMoments]
    ) { (_, problem) throws(Unavailable) in
      var rule = SparseMixerV2().rule
      rule.others[0].probability = 0.5
      rule.others[1].probability = 0.5
      return try rule.on(problem)
    },
    PlantedFault(
      "coin that does not sum to one", in: "midpoint", caughtBy: [.probabilities, .choiceProbabilities]
    ) {
      (_, problem) throws(Unavailable) in
      var rule = Midpoint().rule
      rule.others[0].probability = 0.4
      rule.argmax[0].probability = 0.4
      return try rule.on(problem)
    },
    PlantedFault(
      "the argmax flips its coin too", in: "sparsemixer", caughtBy: [.exactness, .referenceMoments]
    ) {
      (_, problem) throws(Unavailable) in try Midpoint().outcomes(of: problem)
    },
    PlantedFault("ties go to the highest index", in: "sparsemixer", caughtBy: [.referenceMoments]) {
      (sound, problem) throws(Unavailable) in
      let logits = problem.problem.logits
      let last = problem.distribution.support.last { logits[$0] == logits[problem.distribution.argmax] }
      guard let last, last != problem.distribution.argmax else { return try sound.outcomes(of: problem) }
      let first = problem.distribution.argmax
      let midpoint = try Midpoint().outcomes(of: problem)
      let firstOrder = try FirstOrder().outcomes(of: problem)
      return OutcomeDistribution(
        distribution: problem.distribution,
        outcomes: try sound.outcomes(of: problem).outcomes.filter {
          $0.choice != [first] && $0.choice != [last]
        }
          + midpoint.outcomes.filter { $0.choice == [first] }
          + firstOrder.outcomes.filter { $0.choice == [last] })
    },
  ]

  private static let relaxations: [PlantedFault] = [
    PlantedFault("1/τ dropped", in: "straight-through:tau=10", caughtBy: [.referenceMoments]) {
      (_, problem) throws(Unavailable) in
      let p = problem.softmax(temperature: 10)
      return try problem.relaxed { _, slope in p.jacobianProduct(slope) }
    },
    PlantedFault("1/τ taken twice", in: "straight-through:tau=10", caughtBy: [.referenceMoments]) {
      (_, problem) throws(Unavailable) in
      let p = problem.softmax(temperature: 10)
      return try problem.relaxed { _, slope in p.jacobianProduct(slope).map { $0 / 100 } }
    },
    PlantedFault("softmax(θ) for softmax(θ/τ)", in: "straight-through:tau=10", caughtBy: [.referenceMoments]) {
      (_, problem) throws(Unavailable) in
      try problem.relaxed { _, slope in problem.distribution.jacobianProduct(slope).map { $0 / 10 } }
    },
    PlantedFault("a factor 1/τ in ReinMax", in: "reinmax:tau=1.3", caughtBy: [.referenceMoments]) {
      (sound, problem) throws(Unavailable) in
      try sound.outcomes(of: problem).changingGradients { _, gradient in gradient.map { $0 / 1.3 } }
    },
    PlantedFault(
      "ReinMax without its −½ term", in: "reinmax:tau=1", caughtBy: [.exactness, .referenceMoments]
    ) {
      (_, problem) throws(Unavailable) in
      try problem.relaxed { i, slope in
        let halved = problem.distribution.probabilities.enumerated().map {
          0.5 * ($0.element + ($0.offset == i ? 1 : 0))
        }
        return jacobianProduct(halved, slope).map { 2 * $0 }
      }
    },
    // Of the rule f(x + h) ≈ f(x) + h [(1 − 1/2α) f'(x) + (1/2α) f'(x + αh)] one weight twice: for affine f its mean is 2 − 1/α times the target.
    PlantedFault(
      "ReinMax of node α = 0.9 with the weight 1 − 1/(2α) twice", in: "reinmax:tau=1",
      caughtBy: [.exactness, .referenceMoments]
    ) {
      (_, problem) throws(Unavailable) in
      let weight = 1 - 1 / (2 * 0.9)
      return try problem.relaxed { i, slope in
        let p = problem.distribution.probabilities
        let factor = slope[i] - dot(p, slope)
        return zip(problem.distribution.jacobianProduct(slope), p.indices).map {
          weight * ($0 + factor * (($1 == i ? 1 : 0) - p[$1]))
        }
      }
    },
    PlantedFault(
      "ReinMax with D for ½(π + D)", in: "reinmax:tau=1", caughtBy: [.exactness, .referenceMoments]
    ) {
      (_, problem) throws(Unavailable) in
      try problem.relaxed { _, slope in problem.distribution.jacobianProduct(slope).map { -0.5 * $0 } }
    },
    // ∇ of g·((I_D − π) log π_D) with π in the first factor not detached.
    PlantedFault("DARN with π not detached", in: "darn", caughtBy: [.exactness, .referenceMoments]) {
      (sound, problem) throws(Unavailable) in
      let (distribution, logarithms) = (problem.distribution, problem.logProbabilities())
      var slopes: [Int: [Double]] = [:]
      for i in distribution.support { slopes[i] = distribution.jacobianProduct(try problem.choiceGradient(at: i)) }
      let list = try sound.outcomes(of: problem)
      return OutcomeDistribution(
        distribution: distribution,
        outcomes: list.outcomes.map { outcome in
          var wrong = outcome
          let i = outcome.choice[0]
          wrong.gradient = .dense(
            zip(list.gradient(of: outcome), slopes[i] ?? []).map { $0 - logarithms[i] * $1 })
          return wrong
        })
    },
    // For affine f, whose gradient is the same everywhere, the mean is right all the same.
    PlantedFault("DARN's factor without its mean", in: "darn", caughtBy: [.referenceMoments]) {
      (_, problem) throws(Unavailable) in
      try problem.relaxed { i, slope in
        problem.distribution.probabilities.indices.map { k in
          slope[i] * ((k == i ? 1 : 0) - problem.distribution.probabilities[k])
        }
      }
    },
    PlantedFault("ZGR without its halves", in: "zgr", caughtBy: [.exactness, .referenceMoments]) {
      (_, problem) throws(Unavailable) in
      try problem.relaxed { i, slope in
        let p = problem.distribution.probabilities
        let factor = slope[i] - dot(p, slope)
        return zip(problem.distribution.jacobianProduct(slope), p.indices).map {
          $0 + factor * (($1 == i ? 1 : 0) - p[$1])
        }
      }
    },
    PlantedFault("mean not subtracted", in: "straight-through:tau=1", caughtBy: [.zeroSum, .exactness]) {
      (_, problem) throws(Unavailable) in
      try problem.relaxed { _, slope in zip(problem.distribution.probabilities, slope).map { $0 * $1 } }
    },
    PlantedFault(
      "gradient at the argmax for that at D", in: "straight-through:tau=1", caughtBy: [.referenceMoments]
    ) { (sound, problem) throws(Unavailable) in
      let slope = try problem.choiceGradient(at: problem.distribution.argmax)
      return try problem.relaxed { _, _ in problem.distribution.jacobianProduct(slope) }
    },
  ]

  private static let scores: [PlantedFault] = [
    PlantedFault(
      "baseline that depends on D", in: "reinforce:baseline=none", caughtBy: [.exactness, .referenceMoments]
    ) { (_, problem) throws(Unavailable) in try problem.reinforced { i, values in 0.5 * values[i] } },
    PlantedFault(
      "leave-one-out that includes itself", in: "reinforce:baseline=leave-one-out,samples=2",
      caughtBy: [.exactness]
    ) { (sound, problem) throws(Unavailable) in
      try problem.reinforced { i, values in
        0.5 * (values[i] + dot(problem.distribution.probabilities, values))
      }
    },
    PlantedFault(
      "gating sample missing", in: "reinforce:baseline=none", caughtBy: [.exactness, .referenceMoments]
    ) {
      (_, problem) throws(Unavailable) in try problem.reinforced(baseline: { _, _ in 0 }, gating: false)
    },
    PlantedFault(
      "a baseline that is not the optimal one", in: "reinforce:baseline=optimal",
      caughtBy: [.referenceMoments]
    ) { (_, problem) throws(Unavailable) in
      try problem.reinforced { _, values in dot(problem.distribution.probabilities, values) }
    },
    PlantedFault("π detached", in: "conventional", caughtBy: [.zeroSum, .exactness]) {
      (sound, problem) throws(Unavailable) in
      try sound.outcomes(of: problem).changingGradients { outcome, gradient in
        gradient.enumerated().map { $0.offset == outcome.choice[0] ? $0.element : 0 }
      }
    },
    PlantedFault("sign of the gradient", in: "conventional", caughtBy: [.exactness, .referenceMoments]) {
      (sound, problem) throws(Unavailable) in
      try sound.outcomes(of: problem).changingGradients { _, gradient in gradient.map { -$0 } }
    },
    PlantedFault("gradient on the next expert", in: "exact", caughtBy: [.permutation, .exactness]) {
      (sound, problem) throws(Unavailable) in
      try sound.outcomes(of: problem).changingGradients { _, gradient in
        gradient.indices.map { gradient[($0 + 1) % gradient.count] }
      }
    },
    PlantedFault(
      "gradient sorted", in: "midpoint", caughtBy: [.maskedExperts, .exactness, .referenceMoments]
    ) { (sound, problem) throws(Unavailable) in
      try sound.outcomes(of: problem).changingGradients { _, gradient in gradient.sorted() }
    },
    PlantedFault("a gradient for a single expert", in: "conventional", caughtBy: [.singleExpert, .zeroSum]) {
      (sound, problem) throws(Unavailable) in
      try sound.outcomes(of: problem).changingGradients { _, gradient in gradient.map { $0 + 1e-9 } }
    },
  ]

  private static let routing: [PlantedFault] = [
    PlantedFault("argmax drawn for D", in: "conventional", caughtBy: [.choiceProbabilities, .exactness]) {
      (sound, problem) throws(Unavailable) in
      try sound.outcomes(of: problem).changingOutcomes { outcome in
        var changed = outcome
        changed.probability = outcome.choice == [problem.distribution.argmax] ? 1 : 0
        return changed
      }
    },
    PlantedFault(
      "mask without renormalisation", in: "conventional", caughtBy: [.probabilities, .choiceProbabilities]
    ) {
      (sound, problem) throws(Unavailable) in
      let dense = problem.routed(by: .none).distribution.probabilities
      return try sound.outcomes(of: problem).changingOutcomes { outcome in
        var changed = outcome
        changed.probability = dense[outcome.choice[0]]
        return changed
      }
    },
    PlantedFault("mask ignored", in: "conventional", caughtBy: [.maskedExperts, .referenceMoments]) {
      (sound, problem) throws(Unavailable) in
      let unmasked = try sound.outcomes(of: problem.routed(by: .none))
      return OutcomeDistribution(
        distribution: problem.distribution,
        outcomes: unmasked.changingGradients { _, gradient in gradient }.outcomes)
    },
    PlantedFault("threshold doubled", in: "sparsemixer", caughtBy: [.referenceMoments]) {
      (sound, problem) throws(Unavailable) in
      guard let threshold = problem.mask.threshold,
        let mask = Mask(rule: problem.mask.rule, threshold: 2 * threshold)
      else { return try sound.outcomes(of: problem) }
      return try sound.outcomes(of: problem.routed(by: mask))
    },
    PlantedFault("the other mask rule", in: "sparsemixer", caughtBy: [.referenceMoments]) {
      (sound, problem) throws(Unavailable) in
      switch problem.mask {
      case .none: return try sound.outcomes(of: problem)
      case .paper(let r): return try sound.outcomes(of: problem.routed(by: .referenceCode(threshold: r)))
      case .referenceCode(let r): return try sound.outcomes(of: problem.routed(by: .paper(threshold: r)))
      }
    },
    PlantedFault(
      "second expert not removed", in: "sparsemixer-v2-top2:reference-constants=false",
      caughtBy: [.choiceProbabilities, .referenceMoments]
    ) { (sound, problem) throws(Unavailable) in
      let own = problem.distribution
      return try sound.outcomes(of: problem).changingOutcomes { outcome in
        var changed = outcome
        changed.probability *= own.complements[outcome.choice[0]]
        return changed
      }
    },
    PlantedFault(
      "credit of the second draw dropped", in: "sparsemixer-v2-top2:reference-constants=false",
      caughtBy: [.exactness, .referenceMoments]
    ) { (sound, problem) throws(Unavailable) in
      try sound.outcomes(of: problem).changingOutcomes { outcome in
        var changed = outcome
        if case .scores(let terms) = outcome.gradient { changed.gradient = .scores([terms[0]]) }
        return changed
      }
    },
    PlantedFault("dense mixture for the dense backward", in: "dense-backward", caughtBy: [.exactness]) {
      (_, problem) throws(Unavailable) in
      let (_, loss, directions) = try problem.computableMixture()
      let rows = (0..<problem.experts).map { directions.row($0) }
      let gradient = loss.gradient(at: problem.distribution.mean(of: rows))
      return OutcomeDistribution(
        distribution: problem.distribution,
        outcomes: [
          Outcome(
            choice: [], probability: 1,
            gradient: .dense(problem.distribution.jacobianProduct(rows.map { dot(gradient, $0) })))
        ])
    },
  ]
  private static let subsets: [PlantedFault] = [
    PlantedFault("Plackett–Luce drawn for conditional Bernoulli", in: "simple:k=2", caughtBy: [.choiceProbabilities]) {
      (sound, problem) throws(Unavailable) in
      let drawn = try SubsetDistribution(.plackettLuce(2), of: problem)
      return try sound.outcomes(of: problem).changingOutcomes { outcome in
        var changed = outcome
        changed.probability = drawn.probability(of: outcome.choice).value
        return changed
      }
    },
    // ∂μ/∂θ with log(1 − σ(θ)) held: column j of the covariance times 1 − σ(θ_j). On mixtures the gates' own part stays as it is.
    PlantedFault("log(1 − p) detached", in: "simple:k=2", caughtBy: [.zeroSum, .exactness]) {
      (sound, problem) throws(Unavailable) in
      let list = try sound.outcomes(of: problem)
      let parts = try problem.evaluations(at: list.outcomes.map(\.choice)).map {
        problem.distribution.jacobianProduct($0.slopes)
      }
      var wrong: [Outcome] = []
      for (outcome, gates) in zip(list.outcomes, parts) {
        var changed = outcome
        changed.gradient = .dense(
          zip(list.gradient(of: outcome), gates).enumerated().map { j, pair in
            (pair.0 - pair.1) / (1 + exponential(problem.problem.logits[j])) + pair.1
          })
        wrong.append(changed)
      }
      return OutcomeDistribution(distribution: list.distribution, outcomes: wrong)
    },
    PlantedFault("score of the wrong law", in: "subset-reinforce:law=plackett-luce,k=2", caughtBy: [.exactness]) {
      (_, problem) throws(Unavailable) in
      let drawn = try SubsetDistribution(.plackettLuce(2), of: problem)
      return try SubsetReinforce(law: .conditionalBernoulli(sizes: 2...2)).outcomes(of: problem).changingOutcomes {
        var changed = $0
        changed.probability = drawn.probability(of: $0.choice).value
        return changed
      }
    },
    PlantedFault("a baseline of its own sample", in: "unordered-set:k=2", caughtBy: [.exactness]) {
      (sound, problem) throws(Unavailable) in
      // 1 − π_s left out: the baseline is the mean of the other experts alone.
      try sound.outcomes(of: problem).changingOutcomes { outcome in
        var changed = outcome
        if case .scores(let terms) = outcome.gradient {
          changed.gradient = .scores(
            terms.map {
              ScoreTerm(choice: $0.choice, weight: $0.weight / problem.distribution.complements[$0.choice])
            })
        }
        return changed
      }
    },
  ]
}
