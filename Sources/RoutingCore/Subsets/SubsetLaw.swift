/// How a router draws several experts at once, in no order.
public enum SubsetLaw: Sendable, Hashable {
  /// `p(S) ∝ exp(Σ_{i∈S} θ_i)` over the subsets of some sizes: independent coins of odds `e^θ`, given the number of heads.
  case conditionalBernoulli(sizes: ClosedRange<Int>)
  /// So many experts drawn one after the other without replacement, each from the softmax over those left (Plackett–Luce): the largest
  /// of `θ + Γ`, Γ iid Gumbel.
  case plackettLuce(Int)

  /// How many experts a subset may have.
  public var sizes: ClosedRange<Int> {
    switch self {
    case .conditionalBernoulli(let sizes): sizes
    case .plackettLuce(let k): k...k
    }
  }
}

/// The subsets that a problem's router may draw by a law, among the experts that the mask keeps, and how their probabilities move with θ.
///
/// `L(θ) = Σ_S P(S) F(S)`, where `F(S) = f(1_S)`, or on a mixture `G(Σ_{i∈S} π_i f_i)` with the softmax π over all experts of the support;
/// `∇L = Σ_S P(S) [F(S) ∇log P(S) + J(π) (s_S ⊙ 1_S)]`, `s_j = G'(y)·f_j`.
package struct SubsetDistribution: Sendable {
  /// The law.
  package let law: SubsetLaw
  /// π.
  package let distribution: RoutingDistribution
  private let places: Places
  /// The experts that the mask keeps.
  private var support: [Int] { distribution.support }

  /// The law over the places of the support.
  private enum Places: Sendable {
    case bernoulli(ConditionalBernoulli)
    case plackettLuce(PlackettLuce)
  }

  /// The subsets of a problem.
  ///
  /// - Throws: ``Unavailable`` where the mask keeps fewer experts than the law takes.
  package init(_ law: SubsetLaw, of problem: RoutedProblem) throws(Unavailable) {
    self.law = law
    distribution = problem.distribution
    let logits = problem.distribution.support.map { problem.problem.logits[$0] }
    guard law.sizes.upperBound <= logits.count else {
      throw Unavailable("needs \(law.sizes.upperBound) experts that may be drawn")
    }
    do {
      switch law {
      case .conditionalBernoulli(let sizes):
        places = .bernoulli(try ConditionalBernoulli(logits: logits, sizes: sizes))
      case .plackettLuce(let k):
        guard k <= PlackettLuce.largestSize else {
          throw Unavailable("takes at most \(PlackettLuce.largestSize) experts, which have 2^k ways to be drawn")
        }
        places = .plackettLuce(try PlackettLuce(logits: logits, size: k))
      }
    } catch let reason as Unavailable {
      throw reason
    } catch {
      throw Unavailable("\(error)")
    }
  }

  /// The number of subsets; a Float64, because there may be more than Int holds.
  package var count: Double {
    var sum = 0.0
    for k in law.sizes {
      var ways = 1.0
      for drawn in 0..<k { ways = (ways * Double(support.count - drawn) / Double(drawn + 1)).rounded() }
      sum += ways
    }
    return sum
  }

  /// The numbers that a list may take together: of each subset a gradient, or the ways to it.
  package static let listedNumbers = 1 << 22

  /// Every subset, by size and then in lexicographic order, its experts in increasing order.
  ///
  /// - Throws: ``Unavailable`` if they take more than ``listedNumbers``.
  package func subsets() throws(Unavailable) -> [[Int]] {
    var each = max(distribution.experts, 1)
    if case .plackettLuce(let k) = law { each = max(each, 1 << k) }
    let most = Self.listedNumbers / each
    guard count <= Double(most) else {
      let number = count < 1e15 ? "\(Int(count))" : "\(Figures.short(count, digits: 3))"
      throw Unavailable(
        "has \(number) subsets of \(support.count) experts to list, more than \(most); it can be sampled")
    }
    var all: [[Int]] = []
    for k in law.sizes {
      var places = Array(0..<k)
      while true {
        all.append(places.map { support[$0] })
        guard let last = places.indices.last(where: { places[$0] < support.count - k + $0 }) else { break }
        places[last] += 1
        for next in last + 1..<max(k, last + 1) { places[next] = places[next - 1] + 1 }
      }
    }
    return all
  }

  /// The probability of a subset, and its root where it is too small to be multiplied by.
  package func probability(of subset: [Int]) -> (value: Double, root: Double?) {
    switch places {
    case .bernoulli(let law): law.probability(of: places(of: subset))
    case .plackettLuce(let law): law.probability(of: places(of: subset))
    }
  }

  /// `∇ log P(S)`, `[experts]`; `1_S − μ` of the conditional Bernoulli law.
  package func score(of subset: [Int]) -> [Double] {
    let own = places(of: subset)
    switch places {
    case .bernoulli(let law):
      var score = law.marginals.map { -$0 }
      for place in own { score[place] = law.complements[place] }
      return spread(score)
    case .plackettLuce(let law): return spread(law.score(of: own))
    }
  }

  /// A subset, its experts in increasing order.
  package func sample(using generator: inout some RandomNumberGenerator) -> [Int] {
    switch places {
    case .bernoulli(let law): law.sample(using: &generator).map { support[$0] }
    case .plackettLuce(let law): law.sample(using: &generator).map { support[$0] }
    }
  }

  /// Given that S was drawn one by one, the probabilities of its experts to be the first, and the second after each
  /// (``PlackettLuce/firsts(of:)``); nil of other laws.
  package func firsts(of subset: [Int]) -> (first: [Double], second: [[Double]])? {
    guard case .plackettLuce(let law) = places else { return nil }
    return law.firsts(of: places(of: subset))
  }

  /// What the conditional Bernoulli law has in closed form besides; nil of other laws.
  package var moments: IndicatorMoments? {
    guard case .bernoulli(let law) = places else { return nil }
    return IndicatorMoments(
      distribution: distribution, law: law, marginals: spread(law.marginals), covariance: law.covariance)
  }

  private func places(of subset: [Int]) -> [Int] {
    support.count == distribution.experts ? subset : subset.compactMap { expert in support.firstIndex(of: expert) }
  }

  private func spread(_ values: [Double]) -> [Double] {
    guard support.count < distribution.experts else { return values }
    var full = [Double](repeating: 0, count: distribution.experts)
    for (place, i) in support.enumerated() { full[i] = values[place] }
    return full
  }
}

/// Mean and covariance of the indicators of a subset.
package struct IndicatorMoments: Sendable {
  fileprivate let distribution: RoutingDistribution
  fileprivate let law: ConditionalBernoulli
  /// μ, the probabilities of being drawn, `[experts]`; 0 outside the support.
  package let marginals: [Double]
  /// `Cov z`, over the places of the support.
  package let covariance: Matrix

  /// `Cov z · v`, `[experts]`.
  package func covarianceProduct(_ v: [Double]) -> [Double] {
    let support = distribution.support
    let product = law.covarianceProduct(covariance, support.map { v[$0] })
    var full = [Double](repeating: 0, count: distribution.experts)
    for (place, i) in support.enumerated() { full[i] = product[place] }
    return full
  }
}

// MARK: - The objective at a subset

extension RoutedProblem {
  /// What the objective is where several experts are drawn.
  package struct SubsetEvaluation: Sendable {
    /// `F(S)`.
    package var value: Double
    /// `∂F/∂z` at `z = 1_S`, `[experts]`: `∇f(1_S)`, or `[π_j s_j]_j`.
    package var gradient: [Double]
    /// `s_j = G'(y)·f_j` of the experts drawn, 0 of the others, `[experts]`; zeros on a categorical problem.
    package var slopes: [Double]
  }

  /// The objective at subsets; `F(z) = G(Σ_j z_j π_j f_j)` on a mixture.
  ///
  /// - Throws: ``Unavailable`` where the objective is a table, which has one-hots only.
  package func evaluations(at subsets: [[Int]]) throws(Unavailable) -> [SubsetEvaluation] {
    switch problem {
    case .categorical(let categorical):
      guard case .objective(let objective) = categorical.source else {
        throw Unavailable("needs the objective as a function, which a table is not")
      }
      let none = [Double](repeating: 0, count: experts)
      return subsets.map { subset in
        var point = none
        for i in subset { point[i] = 1 }
        return SubsetEvaluation(
          value: objective.value(at: point), gradient: objective.gradient(at: point), slopes: none)
      }
    case .mixture:
      let (_, loss, directions) = try computableMixture()
      return subsets.map { subset in
        var output = [Double](repeating: 0, count: loss.dimension)
        for i in subset { for (e, x) in directions.row(i).enumerated() { output[e] += distribution.share(i, of: x) } }
        let outer = loss.gradient(at: output)
        let all = (0..<experts).map { dot(outer, directions.row($0)) }
        var slopes = [Double](repeating: 0, count: experts)
        for i in subset { slopes[i] = all[i] }
        return SubsetEvaluation(
          value: loss.value(at: output), gradient: all.indices.map { distribution.share($0, of: all[$0]) },
          slopes: slopes)
      }
    }
  }
}
