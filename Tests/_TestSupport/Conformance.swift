import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// What every estimator has to satisfy.
public enum ConformanceCheck: String, Sendable, CaseIterable {
  /// `Σ_k ĝ_k = 0` in every outcome.
  case zeroSum
  /// Probabilities are in [0, 1], sum to one, and no outcome is listed twice.
  case probabilities
  /// The chosen experts have the probabilities of the softmax.
  case choiceProbabilities
  /// Samples come with the listed frequencies and the listed gradients.
  case samplingFrequencies
  /// Experts in another order give the same outcomes in that order.
  case permutation
  /// Logits shifted by a constant give the same outcomes; without a mask only, masks are not invariant.
  case shiftInvariance
  /// Mean and variance are those of the outcomes written out.
  case moments
  /// The covariance is symmetric, positive semidefinite, has the variance on its diagonal and rows that sum
  /// to zero.
  case covariance
  /// `E‖ĝ − ∇‖² = ‖bias‖² + tr Cov`.
  case meanSquaredError
  /// Experts outside the mask are never drawn and get exactly no gradient.
  case maskedExperts
  /// The declared class of functions is met exactly, and not one degree higher.
  case exactness
  /// SparseMixer and its second version are exact to degree 2 and 3 away from the argmax.
  case offArgmaxDegree
  /// With one expert every gradient is zero.
  case singleExpert
  /// The declared expert evaluations are those of the rule.
  case evaluations
  /// The specification reads back.
  case specification
  /// Mean and variance agree with 500-digit arithmetic, where a fixture has the estimator.
  case referenceMoments
}

/// Something that an estimator does not satisfy.
public struct Violation: Sendable, CustomStringConvertible {
  /// What is not satisfied.
  public var check: ConformanceCheck
  /// On which problem.
  public var problem: String
  /// What was found.
  public var detail: String

  public var description: String { "\(check) on \(problem): \(detail)" }
}

/// Holds an estimator to the checks of ``ConformanceCheck``; a sound estimator has no violations.
///
/// - Parameters:
///   - estimator: the estimator.
///   - specification: the name under which fixtures know it, its own unless given (a planted fault uses its
///     sound twin's).
///   - checks: which checks; all unless given.
///   - problems: on which problems.
public func checkEstimator(
  _ estimator: any FiniteOutcomeEstimator, as specification: String? = nil,
  checks: [ConformanceCheck] = ConformanceCheck.allCases, problems: [TestProblem] = TestProblems.standard
) throws -> [Violation] {
  let conformance = Conformance(
    estimator: estimator, specification: specification ?? estimator.specification, problems: problems)
  return try checks.flatMap { try conformance.violations(of: $0) }
}

struct Conformance {
  let estimator: any FiniteOutcomeEstimator
  let specification: String
  let problems: [TestProblem]

  /// Rounding that is forgiven, relative to the largest gradient of an outcome.
  static let rounding = 1e-12

  func violations(of check: ConformanceCheck) throws -> [Violation] {
    switch check {
    case .zeroSum: return try onOutcomes(check, zeroSum)
    case .probabilities: return try onOutcomes(check, probabilities)
    case .choiceProbabilities: return try onOutcomes(check, choiceProbabilities)
    case .samplingFrequencies: return try onOutcomes(check, samplingFrequencies)
    case .permutation: return try onOutcomes(check, permutation)
    case .shiftInvariance: return try onOutcomes(check, shiftInvariance)
    case .moments: return try onOutcomes(check, moments)
    case .covariance: return try onOutcomes(check, covariance)
    case .meanSquaredError: return try onOutcomes(check, meanSquaredError)
    case .maskedExperts: return try onOutcomes(check, maskedExperts)
    case .exactness: return try exactness()
    case .offArgmaxDegree: return try offArgmaxDegree()
    case .singleExpert: return try singleExpert()
    case .evaluations: return try onOutcomes(check, evaluations)
    case .specification: return specificationReadsBack()
    case .referenceMoments: return try referenceMoments()
    }
  }

  /// Every problem of the estimator's kinds on which it is available; `body` returns what is wrong.
  private func onOutcomes(
    _ check: ConformanceCheck, _ body: (TestProblem, OutcomeDistribution) throws -> String?
  ) throws -> [Violation] {
    var found: [Violation] = []
    for problem in problems where estimator.claims.kinds.contains(problem.problem.kind) {
      let outcomes: OutcomeDistribution
      do { outcomes = try estimator.outcomes(of: problem.problem) } catch { continue }
      if let detail = try body(problem, outcomes) {
        found.append(Violation(check: check, problem: problem.name, detail: detail))
      }
    }
    return found
  }
}

/// An outcome's name: what was drawn.
struct OutcomeKey: Hashable {
  var choice: [Int]
  var coins: [Int]
}

extension OutcomeDistribution {
  /// The outcomes of one run written out, with their gradients.
  func writtenOut() throws -> [(key: OutcomeKey, probability: Double, gradient: [Double])] {
    try enumerated().map {
      (OutcomeKey(choice: $0.choice, coins: $0.coins), $0.probability, gradient(of: $0))
    }
  }

  /// The largest coordinate of any gradient.
  func largestCoordinate() throws -> Double {
    try writtenOut().flatMap(\.gradient).reduce(0) { max($0, $1.magnitude) }
  }
}

extension Claims {
  /// Whether logits may be shifted by a constant: not where the number of experts drawn depends on them.
  fileprivate var isShiftInvariant: Bool { subsets.map { $0.sizes.count == 1 } ?? true }
}

// MARK: - Outcomes

extension Conformance {
  private func zeroSum(_ problem: TestProblem, _ outcomes: OutcomeDistribution) throws -> String? {
    guard estimator.claims.isShiftInvariant else { return nil }
    let scale = try outcomes.largestCoordinate()
    for outcome in try outcomes.writtenOut() {
      let sum = outcome.gradient.reduce(0, +)
      if !(sum.magnitude <= 0.1 * Self.rounding * scale) {
        return "\(outcome.key) sums to \(sum), gradient \(outcome.gradient)"
      }
    }
    return nil
  }

  private func probabilities(_ problem: TestProblem, _ outcomes: OutcomeDistribution) throws -> String? {
    let all = try outcomes.writtenOut()
    if let bad = all.first(where: { !(0...1).contains($0.probability) }) {
      return "\(bad.key) has probability \(bad.probability)"
    }
    let total = all.reduce(0) { $0 + $1.probability }
    if (total - 1).magnitude > 1e-14 { return "the probabilities sum to \(total)" }
    return Set(all.map(\.key)).count == all.count ? nil : "an outcome is listed twice"
  }

  private func choiceProbabilities(_ problem: TestProblem, _ outcomes: OutcomeDistribution) throws -> String? {
    let all = try outcomes.writtenOut()
    guard all.count > 1 else { return nil }  // nothing is drawn
    if let subsets = estimator.claims.subsets { return subsetProbabilities(subsets, problem, all) }
    // Its sets stand for a single draw.
    if let sets = estimator as? UnorderedSet { return subsetProbabilities(.plackettLuce(sets.k), problem, all) }
    let support = Set(problem.problem.distribution.support)
    let logits = problem.problem.problem.logits
    func softmax(_ kept: Set<Int>) -> [Double] {
      let top = kept.map { logits[$0] }.max() ?? 0
      // Decoupled straight-through draws at a temperature of its own.
      let temperature = (estimator as? StraightThrough)?.drawTemperature ?? 1
      let shares = logits.indices.map { kept.contains($0) ? exponential((logits[$0] - top) / temperature) : 0 }
      let sum = shares.reduce(0, +)
      return shares.map { $0 / sum }
    }
    let expected = softmax(support)
    for i in logits.indices {
      let drawn = all.filter { $0.key.choice.first == i }
      let share = drawn.reduce(0) { $0 + $1.probability }
      if (share - expected[i]).magnitude > 1e-13 {
        return "expert \(i) is drawn with \(share), not \(expected[i])"
      }
      guard estimator.claims.draws == 2, expected[i] > 0, problem.problem.mask == .none else { continue }
      let second = softmax(Set(logits.indices).subtracting([i]))
      for j in logits.indices {
        let both = drawn.filter { $0.key.choice == [i, j] }.reduce(0) { $0 + $1.probability }
        if (both - expected[i] * second[j]).magnitude > 1e-13 {
          return "the pair \(i), \(j) is drawn with \(both)"
        }
      }
    }
    return nil
  }

  /// The probability of every subset from its definition.
  private func subsetProbabilities(
    _ law: SubsetLaw, _ problem: TestProblem, _ all: [(key: OutcomeKey, probability: Double, gradient: [Double])]
  ) -> String? {
    let (logits, support) = (problem.problem.problem.logits, problem.problem.distribution.support)
    let top = support.map { logits[$0] }.max() ?? 0
    let subsets = (0..<(1 << support.count)).map { bits in
      support.indices.filter { bits >> $0 & 1 == 1 }.map { support[$0] }
    }.filter { law.sizes.contains($0.count) }
    var shares: [[Int]: Double] = [:]
    for subset in subsets {
      switch law {
      case .conditionalBernoulli:
        // Sizes differ in how much a shift of the logits matters: none is made where there are several.
        let shift = law.sizes.count == 1 ? top : 0
        shares[subset] = exponential(subset.reduce(0) { $0 + logits[$1] - shift })
      case .plackettLuce:
        shares[subset] = ordersProbability(subset, weights: support.map { ($0, exponential(logits[$0] - top)) })
      }
    }
    let total = shares.values.reduce(0, +)
    for outcome in all {
      let expected = (shares[outcome.key.choice] ?? 0) / total
      if (outcome.probability - expected).magnitude > 1e-13 {
        return "the subset \(outcome.key.choice) is drawn with \(outcome.probability), not \(expected)"
      }
    }
    return all.count == subsets.count ? nil : "\(all.count) outcomes, not \(subsets.count)"
  }

  /// The probability that these experts are drawn without replacement, summed over the orders.
  private func ordersProbability(_ subset: [Int], weights: [(expert: Int, weight: Double)]) -> Double {
    guard !subset.isEmpty else { return 1 }
    let total = weights.reduce(0) { $0 + $1.weight }
    return weights.filter { subset.contains($0.expert) }.reduce(0) { sum, drawn in
      sum + drawn.weight / total
        * ordersProbability(
          subset.filter { $0 != drawn.expert }, weights: weights.filter { $0.expert != drawn.expert })
    }
  }

  private func samplingFrequencies(_ problem: TestProblem, _ outcomes: OutcomeDistribution) throws -> String? {
    let samples = 3000
    let listed = try outcomes.writtenOut()
    let places = Dictionary(
      listed.enumerated().map { ($0.element.key, $0.offset) }, uniquingKeysWith: { first, _ in first })
    var counts = [Int](repeating: 0, count: listed.count)
    var generator = TestSeed.generator("frequencies of \(specification) on \(problem.name)")
    let sampler = OutcomeSampler(outcomes)
    for _ in 0..<samples {
      let sample = sampler.sample(using: &generator)
      guard let place = places[OutcomeKey(choice: sample.choice, coins: sample.coins)] else {
        return "sampled \(sample.choice) \(sample.coins), which is not listed"
      }
      counts[place] += 1
      if counts[place] == 1, outcomes.gradient(of: sample) != listed[place].gradient {
        return "the sample \(sample.choice) \(sample.coins) has another gradient than the list"
      }
    }
    for (place, outcome) in listed.enumerated() {
      if let reason = StatisticalBounds.refutation(
        successes: counts[place], of: samples, probability: outcome.probability)
      {
        return "\(outcome.key): \(reason)"
      }
    }
    return nil
  }

  private func permutation(_ problem: TestProblem, _ outcomes: OutcomeDistribution) throws -> String? {
    guard !problem.hasTies else { return nil }
    let experts = problem.problem.experts
    var generator = TestSeed.generator("permutation of \(problem.name)")
    for _ in 0..<2 {
      let order = Array(0..<experts).shuffled(using: &generator)
      let moved = try estimator.outcomes(of: problem.problem.permuted(order))
      let difference = try compare(outcomes, moved) { key, gradient in
        (
          OutcomeKey(choice: ordered(key.choice.map { i in order.firstIndex(of: i) ?? -1 }), coins: key.coins),
          order.map { gradient[$0] }
        )
      }
      if let difference { return "order \(order): \(difference)" }
    }
    return nil
  }

  /// Experts that are drawn in no order, in increasing order.
  private func ordered(_ choice: [Int]) -> [Int] {
    estimator.claims.subsets == nil && !(estimator is UnorderedSet) ? choice : choice.sorted()
  }

  private func shiftInvariance(_ problem: TestProblem, _ outcomes: OutcomeDistribution) throws -> String? {
    guard problem.problem.mask == .none, estimator.claims.isShiftInvariant else { return nil }
    let shifted = try problem.problem.with(logits: problem.problem.problem.logits.map { $0 + 8.5 })
    return try compare(outcomes, try estimator.outcomes(of: shifted)) { ($0, $1) }
  }

  /// What differs between two lists of outcomes once the first has been carried over.
  private func compare(
    _ a: OutcomeDistribution, _ b: OutcomeDistribution,
    _ carry: (OutcomeKey, [Double]) -> (OutcomeKey, [Double])
  ) throws -> String? {
    let others = Dictionary(try b.writtenOut().map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
    let scale = try a.largestCoordinate()
    for outcome in try a.writtenOut() {
      let (key, gradient) = carry(outcome.key, outcome.gradient)
      guard let other = others[key] else { return "\(key) is missing" }
      if (outcome.probability - other.probability).magnitude > 1e-13 {
        return "\(key) has probability \(other.probability), not \(outcome.probability)"
      }
      if !(relativeError(of: other.gradient, from: gradient, scale: scale) <= Self.rounding) {
        return "\(key) has gradient \(other.gradient), not \(gradient)"
      }
    }
    return nil
  }

  private func maskedExperts(_ problem: TestProblem, _ outcomes: OutcomeDistribution) throws -> String? {
    let kept = outcomes.followUps.values.reduce(Set(outcomes.distribution.support)) { $0.union($1.support) }
    for outcome in try outcomes.writtenOut() {
      for k in 0..<problem.problem.experts where !kept.contains(k) {
        if outcome.gradient[k] != 0 {
          return "\(outcome.key) gives expert \(k) the gradient \(outcome.gradient[k])"
        }
      }
    }
    for outcome in outcomes.outcomes {
      for (place, i) in outcome.choice.enumerated() where !kept.contains(i) && outcome.multiplier?[place] != 0 {
        return "expert \(i) is drawn"
      }
    }
    return nil
  }
}

// MARK: - Moments

extension Conformance {
  /// Mean and covariance, summed over the outcomes as their definitions have it.
  private func bruteForce(_ outcomes: OutcomeDistribution) throws -> (mean: [Double], covariance: Matrix) {
    let all = try outcomes.writtenOut()
    let n = outcomes.experts
    let mean = (0..<n).map { k in all.reduce(0) { $0 + $1.probability * $1.gradient[k] } }
    var covariance = Matrix(rows: n, columns: n)
    for k in 0..<n {
      for l in 0..<n {
        covariance[k, l] = all.reduce(0) {
          $0 + $1.probability * ($1.gradient[k] - mean[k]) * ($1.gradient[l] - mean[l])
        }
      }
    }
    return (mean, covariance)
  }

  private func moments(_ problem: TestProblem, _ outcomes: OutcomeDistribution) throws -> String? {
    let scale = try outcomes.largestCoordinate()
    let (mean, covariance) = try bruteForce(outcomes)
    let variance = mean.indices.map { covariance[$0, $0] }
    for full in [false, true] {
      let moments = outcomes.moments(covariance: full)
      if !(relativeError(of: moments.mean, from: mean, scale: scale) <= Self.rounding) {
        return "mean \(moments.mean), written out \(mean)"
      }
      if !(relativeError(of: moments.variance, from: variance, scale: scale * scale) <= Self.rounding) {
        return "variance \(moments.variance), written out \(variance)"
      }
      if !(relativeError(
        of: [moments.totalVariance], from: [variance.reduce(0, +)], scale: scale * scale) <= Self.rounding)
      {
        return "total variance \(moments.totalVariance), written out \(variance.reduce(0, +))"
      }
      guard full else { continue }
      guard let matrix = moments.covariance else { return "no covariance" }
      if !(relativeError(of: matrix.elements, from: covariance.elements, scale: scale * scale)
        <= Self.rounding)
      {
        return "covariance \(matrix.elements), written out \(covariance.elements)"
      }
    }
    return nil
  }

  private func covariance(_ problem: TestProblem, _ outcomes: OutcomeDistribution) throws -> String? {
    let moments = outcomes.moments(covariance: true)
    guard var rest = moments.covariance else { return "no covariance" }
    let n = rest.rows
    let allowed = 0.1 * Self.rounding * (try outcomes.largestCoordinate() * outcomes.largestCoordinate())
    for k in 0..<n {
      if (rest[k, k] - moments.variance[k]).magnitude > allowed { return "diagonal \(rest[k, k]) at \(k)" }
      let sum = rest.row(k).reduce(0, +)
      if estimator.claims.isShiftInvariant, sum.magnitude > allowed { return "row \(k) sums to \(sum)" }
      for l in 0..<k where (rest[k, l] - rest[l, k]).magnitude > allowed {
        return "not symmetric at \(k), \(l)"
      }
    }
    let trace = (0..<n).reduce(0) { $0 + rest[$1, $1] }
    if (trace - moments.totalVariance).magnitude > allowed {
      return "trace \(trace), \(moments.totalVariance)"
    }
    // Cholesky with pivots: the diagonal of what is left never falls below zero, and where it is zero so is
    // all the rest.
    for _ in 0..<n {
      guard let pivot = (0..<n).max(by: { rest[$0, $0] < rest[$1, $1] }) else { break }
      if let negative = (0..<n).first(where: { rest[$0, $0] < -allowed }) {
        return "not positive semidefinite: \(rest[negative, negative]) is left on the diagonal"
      }
      guard rest[pivot, pivot] > allowed else { break }
      let column = (0..<n).map { rest[$0, pivot] }
      for k in 0..<n { for l in 0..<n { rest[k, l] -= column[k] * column[l] / column[pivot] } }
    }
    let largest = rest.elements.reduce(0) { max($0, $1.magnitude) }
    return largest <= 10 * allowed ? nil : "not positive semidefinite: \(largest) is left"
  }

  private func meanSquaredError(_ problem: TestProblem, _ outcomes: OutcomeDistribution) throws -> String? {
    let target = estimator.claims.target
    let assessment = try Assessment(
      of: estimator, on: problem.problem, options: AssessmentOptions(target: target))
    guard let gradient = assessment.targetGradient, let reported = assessment.meanSquaredError,
      let bias = assessment.biasNorm
    else { return "no mean squared error" }
    var expected = 0.0
    var size = 0.0
    for outcome in try outcomes.writtenOut() {
      for (g, t) in zip(outcome.gradient, gradient) {
        expected += outcome.probability * (g - t) * (g - t)
        size += outcome.probability * (g * g + t * t)
      }
    }
    let parts = bias * bias + assessment.estimate.moments.totalVariance
    let allowed = Self.rounding * size
    return (reported - expected).magnitude <= allowed && (parts - expected).magnitude <= allowed
      ? nil : "\(reported) reported, \(parts) from bias and variance, \(expected) written out"
  }
}

// MARK: - Claims

extension Conformance {
  private func exactness() throws -> [Violation] {
    var found: [Violation] = []
    switch estimator.claims.exactness {
    case .none: break
    case .all:
      for problem in problems where estimator.claims.kinds.contains(problem.problem.kind) {
        guard let error = try biasOnTarget(problem) else { continue }
        if !(error <= Self.rounding) {
          found.append(
            Violation(check: .exactness, problem: problem.name, detail: "relative bias \(error.shortest)"))
        }
      }
    case .degree(let degree):
      for kind in estimator.claims.kinds {
        for problem in try TestProblems.polynomials(degree: degree, kind: kind) {
          guard let error = try biasOnTarget(problem), !(error <= Self.rounding) else { continue }
          found.append(
            Violation(check: .exactness, problem: problem.name, detail: "relative bias \(error.shortest)"))
        }
        // Beyond Gauss–Legendre with four points the error at the next degree drowns in rounding.
        guard degree <= 8 else { continue }
        let next = try TestProblems.polynomials(degree: degree + 1, kind: kind)
        let worst = try next.compactMap { try biasOnTarget($0) }.max() ?? 0
        if !(worst > 1e-8) {
          found.append(
            Violation(
              check: .exactness, problem: "\(kind) of degree \(degree + 1)",
              detail:
                "claims degree \(degree) and is exact one higher: largest relative bias \(worst.shortest)"))
        }
      }
    }
    return found
  }

  /// The bias relative to the larger of target and outcomes, or nil where the estimator or its target is
  /// unavailable.
  private func biasOnTarget(_ problem: TestProblem) throws -> Double? {
    guard let outcomes = try? estimator.outcomes(of: problem.problem),
      let target = try? estimator.claims.target.gradient(of: problem.problem, as: estimator.claims)
    else { return nil }
    return relativeError(of: outcomes.moments().mean, from: target, scale: try outcomes.largestCoordinate())
  }

  private func offArgmaxDegree() throws -> [Violation] {
    let degree: Int
    switch specification {
    case "sparsemixer", "midpoint": degree = 2
    case "sparsemixer-v2:reference-constants=false": degree = 3
    default: return []
    }
    return try TestProblems.polynomials(degree: degree, kind: .mixture).flatMap { problem in
      let routed = problem.problem
      let distribution = routed.distribution
      let (_, loss, directions) = try routed.computableMixture()
      let zero = loss.value(at: [Double](repeating: 0, count: loss.dimension))
      let values = try routed.values()
      let gating = try routed.gatingWeights()
      let outcomes = try estimator.outcomes(of: routed)
      return distribution.support.filter { $0 != distribution.argmax }.compactMap { i in
        // The sample is weight · (I_D − π).
        let weight =
          outcomes.outcomes.filter { $0.choice == [i] }.reduce(0) {
            $0 + $1.probability * outcomes.gradient(of: $1)[i]
          } / (distribution.probabilities[i] * distribution.complements[i])
        let wanted = values[i] - zero + (degree == 2 ? gating[i] : 0)
        let size =
          dot(directions.row(i), directions.row(i)).squareRoot() + values[i].magnitude + zero.magnitude
        return (weight - wanted).magnitude <= Self.rounding * size
          ? nil
          : Violation(
            check: .offArgmaxDegree, problem: problem.name,
            detail: "expert \(i) has weight \(weight), not \(wanted)")
      }
    }
  }

  private func singleExpert() throws -> [Violation] {
    var maker = ProblemMaker("single expert")
    return try estimator.claims.kinds.flatMap { kind in
      try ProblemMaker.objectives.compactMap { type in
        let problem = try maker.problem(
          "one expert, \(kind) \(type)", kind: kind, type: type, experts: 1, width: 2)
        guard let outcomes = try? estimator.outcomes(of: problem.problem) else { return nil }
        let gradients = try outcomes.writtenOut().map(\.gradient)
        let moments = outcomes.moments(covariance: true)
        let numbers =
          gradients.flatMap { $0 } + moments.mean + moments.variance + (moments.covariance?.elements ?? [])
        return numbers.allSatisfy { $0 == 0 } && moments.totalVariance == 0
          ? nil : Violation(check: .singleExpert, problem: problem.name, detail: "\(gradients), \(moments)")
      }
    }
  }

  private func evaluations(_ problem: TestProblem, _ outcomes: OutcomeDistribution) throws -> String? {
    let claimed = estimator.claims.expertEvaluations.count(on: problem.problem)
    guard claimed >= 1, claimed == claimed.rounded() else { return "\(claimed) evaluations" }
    guard let ray = estimator as? any RayEstimator else { return nil }
    // Each side evaluates the nodes that it gives a weight.
    let needed = (ray.rule.argmax + ray.rule.others).map { $0.weights.count { $0 != 0 } }.max() ?? 0
    return Double(needed) == claimed ? nil : "claims \(claimed) evaluations, its rule needs \(needed)"
  }

  private func specificationReadsBack() -> [Violation] {
    func violation(_ detail: String) -> [Violation] {
      [Violation(check: .specification, problem: "none", detail: detail)]
    }
    do {
      let again = try EstimatorRegistry.estimator(estimator.specification)
      return again.specification == estimator.specification && again.values == estimator.values
        && again.claims == estimator.claims
        ? [] : violation("'\(estimator.specification)' reads back as '\(again.specification)'")
    } catch {
      return violation("\(error)")
    }
  }

  private func referenceMoments() throws -> [Violation] {
    try ReferenceMoments.shared.get().cases.filter { $0.problem.logits.count <= 8 }.compactMap { reference in
      guard let entry = reference.estimators.first(where: { $0.estimator == specification }) else {
        return nil
      }
      let moments = try estimator.outcomes(of: reference.routed()).moments()
      let scale = reference.scale.value
      let mean = relativeError(of: moments.mean, from: entry.mean.values, scale: scale)
      let variance = relativeError(of: moments.variance, from: entry.variance.values, scale: scale * scale)
      return mean <= Self.rounding && variance <= Self.rounding
        ? nil
        : Violation(
          check: .referenceMoments, problem: reference.name,
          detail: "relative errors of mean \(mean.shortest), of variance \(variance.shortest)")
    }
  }
}
