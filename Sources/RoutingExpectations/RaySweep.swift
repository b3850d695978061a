import CKernels
import RoutingCore
import RoutingEstimators

/// The exact moments of several ray rules on problem after problem of one shape, without allocating.
///
/// What ``OutcomeDistribution/moments(covariance:)`` finds for each rule on its own, found for all of them from
/// one evaluation of the loss at the nodes that they share. Layer audits and benchmarks run on it; it owns its workspace, so
/// each thread needs its own.
package final class RaySweep {
  /// The rules, in the order in which results stand.
  package let rules: [RayRule]
  /// The number of experts of every problem.
  package let experts: Int

  private let nodes: [Double]
  private let coins: [Coin]
  private let workspace: Workspace

  /// Where the sides of a rule's two coins stand in the table: the probabilities of the sides, then their weights.
  private struct Coin {
    var others: (sides: Int, offset: Int)
    var argmax: (sides: Int, offset: Int)
  }

  /// Memory that rows are worked out in; arrays would spend their time on reference counts.
  private final class Workspace {
    let table: UnsafeMutableBufferPointer<Double>
    let multipliers: UnsafeMutableBufferPointer<Double>
    let complements: UnsafeMutableBufferPointer<Double>
    let weights: UnsafeMutableBufferPointer<Double>
    let spread: UnsafeMutableBufferPointer<Double>
    let slopes: UnsafeMutableBufferPointer<Double>

    init(table: [Double], rows: Int, experts: Int, nodes: Int) {
      func room(_ count: Int) -> UnsafeMutableBufferPointer<Double> {
        let memory = UnsafeMutableBufferPointer<Double>.allocate(capacity: count)
        memory.initialize(repeating: 0)
        return memory
      }
      self.table = room(table.count)
      _ = self.table.update(fromContentsOf: table)
      multipliers = room(experts)
      complements = room(experts)
      weights = room(rows * experts)
      spread = room(rows * experts)
      slopes = room(experts * nodes)
    }

    deinit {
      for memory in [table, multipliers, complements, weights, spread, slopes] { memory.deallocate() }
    }
  }

  /// Prepares a sweep of `rules` over problems of `experts` experts.
  package init(rules: [RayRule], experts: Int) {
    precondition(!rules.isEmpty && experts > 0, "a sweep needs rules and experts")
    // Descending, so that rules with nodes among 1, ½, ⅓ ask for exactly these.
    let nodes = Set(rules.flatMap(\.nodes)).sorted(by: >)
    var table: [Double] = []
    func append(_ sides: [RayRule.Side], of rule: RayRule) -> (sides: Int, offset: Int) {
      let offset = table.count
      table += sides.map(\.probability)
      for side in sides {
        table += nodes.map { node in rule.nodes.firstIndex(of: node).map { side.weights[$0] } ?? 0 }
      }
      return (sides.count, offset)
    }
    coins = rules.map {
      Coin(others: append($0.others, of: $0), argmax: append($0.argmax, of: $0))
    }
    self.rules = rules
    self.experts = experts
    self.nodes = nodes
    workspace = Workspace(
      table: table, rows: rules.count + 1, experts: experts, nodes: nodes.count)
  }

  /// Moments of every rule on a problem, every expert being drawn with `softmax(logits)`.
  ///
  /// The last row of the results is that of the score-function estimator of the routing term, `F_D (I_D − π)`; its mean is
  /// `∇₀`.
  ///
  /// - Parameters:
  ///   - logits: `[experts]`.
  ///   - directions: `ω ⊙ f_i`, row-major `[experts][loss.dimension]`.
  ///   - loss: g.
  ///   - means: room for `E ĝ`, row-major `[rules + 1][experts]`.
  ///   - variances: room for the diagonal of `Cov ĝ`, in the same layout.
  ///   - totalVariances: room for `tr Cov ĝ`, `[rules + 1]`.
  package func evaluate(
    logits: Span<Double>, directions: Span<Double>, loss: some Objective, means: inout MutableSpan<Double>,
    variances: inout MutableSpan<Double>, totalVariances: inout MutableSpan<Double>
  ) {
    let rows = coins.count + 1
    precondition(
      logits.count == experts && means.count == rows * experts && variances.count == rows * experts
        && totalVariances.count == rows, "a sweep of \(rows - 1) rules over \(experts) experts got other lengths")
    let space = workspace
    let nodes = nodes
    let top = logits.withUnsafeBufferPointer {
      rg_softmax(experts, $0.baseAddress, 1, space.multipliers.baseAddress, space.complements.baseAddress)
    }
    if (0..<experts).contains(where: { space.multipliers[$0] < RoutingDistribution.smallestPlain }) {
      return evaluateDistant(
        logits: logits, directions: directions, loss: loss, means: &means, variances: &variances,
        totalVariances: &totalVariances)
    }
    // The losses themselves are the last row's factors; their spread stays zero.
    var values = space.weights.extracting((rows - 1) * experts..<rows * experts).mutableSpan
    var slopes = space.slopes.mutableSpan
    loss.rays(
      directions: directions, multipliers: space.multipliers.span, nodes: nodes.span, values: &values, slopes: &slopes)
    for row in 0..<rows - 1 { setWeights(row: row, argmax: top) }
    means.withUnsafeMutableBufferPointer { means in
      variances.withUnsafeMutableBufferPointer { variances in
        totalVariances.withUnsafeMutableBufferPointer { totals in
          rg_score_moments(
            rows, experts, top, space.multipliers.baseAddress, space.complements.baseAddress,
            space.weights.baseAddress, space.spread.baseAddress, means.baseAddress, variances.baseAddress,
            totals.baseAddress)
        }
      }
    }
  }

  /// The same where probabilities are too small for products (``RoutingDistribution/share(_:of:)``), rule by rule.
  private func evaluateDistant(
    logits: Span<Double>, directions: Span<Double>, loss: some Objective, means: inout MutableSpan<Double>,
    variances: inout MutableSpan<Double>, totalVariances: inout MutableSpan<Double>
  ) {
    let distribution = RoutingDistribution(logits: logits.withUnsafeBufferPointer { Array($0) })
    let bundle = RayBundle(
      directions: directions.withUnsafeBufferPointer { Array($0) }, multipliers: distribution.probabilities,
      nodes: nodes)
    var samples = loss.rays(bundle)
    distribution.refine(&samples, of: loss, along: bundle)
    for row in 0...rules.count {
      let moments: Moments
      if row < rules.count {
        let rule = rules[row]
        let places = rule.nodes.compactMap { nodes.firstIndex(of: $0) }
        let slopes = places.flatMap { samples.slopes(atNode: $0) }
        moments = rule.outcomes(on: distribution, rays: RaySamples(values: samples.values, slopes: slopes)).moments()
      } else {
        moments = distribution.scoreMoments(weights: samples.values)
      }
      for k in 0..<experts {
        means[row * experts + k] = moments.mean[k]
        variances[row * experts + k] = moments.variance[k]
      }
      totalVariances[row] = moments.totalVariance
    }
  }

  /// Mean and variance, given the expert, of the factor on the score.
  private func setWeights(row: Int, argmax: Int) {
    let space = workspace
    let table = space.table.baseAddress
    let offset = row * experts
    func set(_ side: (sides: Int, offset: Int), first: Int, count: Int) {
      rg_ray_weights(
        experts, first, count, space.multipliers.baseAddress, nodes.count, space.slopes.baseAddress, side.sides,
        table.map { $0 + side.offset }, table.map { $0 + side.offset + side.sides },
        space.weights.baseAddress.map { $0 + offset }, space.spread.baseAddress.map { $0 + offset })
    }
    set(coins[row].others, first: 0, count: experts)
    set(coins[row].argmax, first: argmax, count: 1)
  }
}
