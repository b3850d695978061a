// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CRouteGrad
import RouteGrad

/// What `rg_outcomes` points to.
final class OutcomesHandle: Sendable {
  let distribution: OutcomeDistribution
  let outcomes: [Outcome]
  let shape: rg_outcomes_shape

  /// Enumerates.
  init(of estimator: any GradientEstimator, on problem: RoutedProblem) throws(Failure) {
    do throws(Unavailable) {
      distribution = try estimator.finiteOutcomes(on: problem)
      outcomes = try distribution.enumerated()
    } catch {
      throw Failure(error, estimator.specification)
    }
    let limit = OutcomeDistribution.enumerationLimit
    guard outcomes.count <= limit else {
      throw Failure(
        RG_UNAVAILABLE, "\(estimator.specification): has \(outcomes.count) outcomes, more than the \(limit) written out"
      )
    }
    for outcome in outcomes where !distribution.gradient(of: outcome).allSatisfy(\.isFinite) {
      throw Failure(
        RG_OVERFLOW, "\(estimator.specification): the gradient of choice \(outcome.choice) overflows Float64")
    }
    shape = rg_outcomes_shape(
      count: outcomes.count, experts: distribution.experts, choice_width: outcomes.map(\.choice.count).max() ?? 0,
      coins_width: outcomes.map(\.coins.count).max() ?? 0,
      multiplier_width: outcomes.map { $0.multiplier?.count ?? 0 }.max() ?? 0)
  }
}

@c @implementation
public func rg_outcomes_create(
  _ problem: OpaquePointer?, _ estimator: OpaquePointer?, _ outcomes: UnsafeMutablePointer<OpaquePointer?>?
) -> rg_status {
  reporting { () throws(Failure) in
    let problem: ProblemHandle = try object(problem, "problem")
    let estimator = try object(estimator, "estimator", as: EstimatorHandle.self).estimator
    let result = try required(outcomes, "outcomes")
    let list = try problem.computing { () throws(Failure) in
      try OutcomesHandle(of: estimator, on: problem.routed)
    }
    result.pointee = handle(list)
  }
}

@c @implementation
public func rg_outcomes_describe(
  _ outcomes: OpaquePointer?, _ shape: UnsafeMutablePointer<rg_outcomes_shape>?
) -> rg_status {
  reporting { () throws(Failure) in
    let outcomes: OutcomesHandle = try object(outcomes, "outcomes")
    try required(shape, "shape").pointee = outcomes.shape
  }
}

@c @implementation
public func rg_outcomes_get(
  _ outcomes: OpaquePointer?, _ first: Int, _ count: Int, _ probability: UnsafeMutablePointer<Double>?,
  _ choice: UnsafeMutablePointer<Int64>?, _ coins: UnsafeMutablePointer<Int64>?,
  _ multiplier: UnsafeMutablePointer<Double>?, _ gradient: UnsafeMutablePointer<Double>?
) -> rg_status {
  reporting { () throws(Failure) in
    let list: OutcomesHandle = try object(outcomes, "outcomes")
    let shape = list.shape
    guard first >= 0, count >= 0, first <= shape.count, count <= shape.count - first else {
      throw .argument("first, count: expected a range within the \(shape.count) outcomes, got \(first), \(count)")
    }
    for row in 0..<count {
      let outcome = list.outcomes[first + row]
      probability?[row] = outcome.probability
      fill(choice, row: row, width: shape.choice_width, with: outcome.choice.map(Int64.init), padding: -1)
      fill(coins, row: row, width: shape.coins_width, with: outcome.coins.map(Int64.init), padding: -1)
      fill(multiplier, row: row, width: shape.multiplier_width, with: outcome.multiplier ?? [], padding: .nan)
      if let gradient {
        copy(list.distribution.gradient(of: outcome), to: gradient + row * shape.experts, count: shape.experts)
      }
    }
  }
}

/// Writes a row, filled up to its width.
private func fill<Number>(
  _ buffer: UnsafeMutablePointer<Number>?, row: Int, width: Int, with values: [Number], padding: Number
) {
  guard let buffer else { return }
  for k in 0..<width { buffer[row * width + k] = k < values.count ? values[k] : padding }
}

@c @implementation
public func rg_outcomes_destroy(_ outcomes: OpaquePointer?) { release(outcomes, as: OutcomesHandle.self) }
