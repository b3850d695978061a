import RoutingCore
import RoutingEstimators
import RoutingExpectations

extension Report {
  /// One row for each problem and estimator, with the numbers that are not vectors, under their names in
  /// JSON.
  ///
  /// The first columns say which problem it is: its index in the report, name, kind, experts, expected loss
  /// and mask. The last says why an estimator is unavailable.
  public var csv: String { rendered(as: .csv) }

  static let csvHeader =
    ["problem", "name", "kind", "experts", "expectedLoss", "maskRule", "maskThreshold", "id", "parameters"]
    + ["method", "target", "outcomes"] + Assessment.scalars.map(\.name) + ["targetError", "samples", "unavailable"]
}

extension Report.Problem {
  /// The rows of CSV.
  ///
  /// - Parameter index: the problem's, in the report.
  func csvRows(index: Int) -> [[String?]] {
    let scalars = Assessment.scalars
    let place: [String?] = [
      "\(index)", filed.problem.name, routed.kind.rawValue, "\(routed.experts)", CSV.number(expectedLoss),
      routed.mask.rule, CSV.number(routed.mask.threshold),
    ]
    return entries.map { entry -> [String?] in
      let estimator = [type(of: entry.estimator).id, entry.estimator.values.description]
      switch entry.result {
      case .success(let assessment):
        return place + estimator
          + [
            assessment.estimate.method.rawValue, assessment.target.rawValue,
            assessment.estimate.outcomes.map { "\($0)" },
          ] + scalars.map { CSV.number($0.value(assessment)) }
          + [CSV.number(assessment.targetError), assessment.estimate.samples.map { "\($0)" }, nil]
      case .failure(let reason):
        return place + estimator + [nil, nil, nil] + scalars.map { _ in nil } + [nil, nil, reason.reason]
      }
    }
  }
}
