import RoutingCore
import RoutingEstimators
import RoutingExpectations

extension Report {
  /// One row for each problem and estimator, with the numbers that are not vectors, under their names in
  /// JSON.
  ///
  /// The first columns say which problem it is: its index in the report, name, kind, experts, expected loss
  /// and mask. The last says why an estimator is unavailable.
  public var csv: String {
    let scalars = Assessment.scalars
    let rows = problems.enumerated().flatMap { index, problem in
      let place: [String?] = [
        "\(index)", problem.filed.problem.name, problem.routed.kind.rawValue, "\(problem.routed.experts)",
        CSV.number(problem.expectedLoss), problem.routed.space.rule,
        CSV.number(problem.routed.space.threshold),
      ]
      return problem.entries.map { entry -> [String?] in
        let estimator = [type(of: entry.estimator).id, entry.estimator.values.description]
        switch entry.result {
        case .success(let assessment):
          return place + estimator
            + [
              assessment.estimate.method.rawValue, assessment.target.rawValue,
              assessment.estimate.outcomes.map { "\($0)" },
            ] + scalars.map { CSV.number($0.value(assessment)) } + [nil]
        case .failure(let reason):
          return place + estimator + [nil, nil, nil] + scalars.map { _ in nil } + [reason.reason]
        }
      }
    }
    let header =
      ["problem", "name", "kind", "experts", "expectedLoss", "maskRule", "maskThreshold", "id", "parameters"]
      + ["method", "target", "outcomes"] + scalars.map(\.name) + ["unavailable"]
    return CSV(header: header, rows: rows).text
  }
}
