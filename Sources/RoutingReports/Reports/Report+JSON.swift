import FileFormats
import RoutingCore
import RoutingEstimators
import RoutingExpectations

extension Report {
  /// The report in the format `routegrad.report/1`.
  public var json: String { rendered(as: .json) }
}

extension Report.Problem {
  func json(target: GradientTarget) -> JSONValue {
    [
      "name": JSONValue(filed.problem.name),
      "kind": .string(routed.kind.rawValue),
      "experts": JSONValue(routed.experts),
      "expectedLoss": JSONValue(expectedLoss),
      "mask": [
        "rule": .string(routed.mask.rule), "threshold": JSONValue(routed.mask.threshold),
        "support": JSONValue(routed.distribution.support),
      ],
      "targets": .object(targets.map { .init(key: $0.target.rawValue, value: JSONValue($0.gradient)) }),
      "target": .string(target.rawValue),
      "estimators": .array(entries.map(\.json)),
    ]
  }
}

extension Report.Entry {
  var json: JSONValue {
    switch result {
    case .success(let assessment): assessment.json
    case .failure(let reason): .unavailable(estimator, reason)
    }
  }
}

extension Assessment {
  fileprivate var json: JSONValue {
    var fields: [(String, JSONValue)] = [
      ("id", .string(type(of: estimator).id)),
      ("parameters", estimator.values.json),
      ("method", .string(estimate.method.rawValue)),
      ("outcomes", JSONValue(estimate.outcomes)),
      ("target", .string(target.rawValue)),
      ("targetGradient", JSONValue(targetGradient)),
      ("mean", JSONValue(estimate.moments.mean)),
      ("variance", JSONValue(estimate.moments.variance)),
    ]
    if let covariance = estimate.moments.covariance {
      fields.append(("covariance", .array(covariance.asRows.map { JSONValue($0) })))
    }
    fields.append(("bias", JSONValue(bias)))
    fields += Self.scalars.map { ($0.name, JSONValue($0.value(self))) }
    if let targetError { fields.append(("targetError", JSONValue(targetError))) }
    if let samples = estimate.samples { fields.append(("samples", JSONValue(samples))) }
    return .object(fields.map { .init(key: $0.0, value: $0.1) })
  }

  /// The numbers of an assessment that are not vectors, by their names in files.
  static let scalars: [(name: String, value: @Sendable (Assessment) -> Double?)] = [
    ("biasNorm", { $0.biasNorm }),
    ("relativeBias", { $0.relativeBias }),
    ("cosine", { $0.cosine }),
    ("bestScale", { $0.bestScale }),
    ("scaledRelativeBias", { $0.scaledRelativeBias }),
    ("totalVariance", { $0.estimate.moments.totalVariance }),
    ("relativeStandardDeviation", { $0.relativeStandardDeviation }),
    ("meanSquaredError", { $0.meanSquaredError }),
    ("signalToNoise", { $0.signalToNoise }),
    ("descentProbability", { $0.descentProbability }),
    ("expertEvaluations", { $0.expertEvaluations }),
    ("meanError", { $0.estimate.meanError }),
    ("varianceError", { $0.estimate.varianceError }),
  ]
}

// MARK: - Shared by reports

extension JSONValue {
  /// An estimator that is not defined on a problem, or lacks data.
  static func unavailable(_ estimator: any GradientEstimator, _ reason: Unavailable) -> JSONValue {
    ["id": .string(type(of: estimator).id), "unavailable": .string(reason.reason)]
  }
}

extension ParameterValues {
  /// The values by name, each of its own type.
  var json: JSONValue { .object(entries.map { .init(key: $0.name, value: $0.value.json) }) }
}

extension ParameterValue {
  /// The value as JSON.
  var json: JSONValue {
    switch self {
    case .number(let x): .number(x)
    case .integer(let n): JSONValue(n)
    case .word(let word): .string(word)
    case .flag(let flag): .bool(flag)
    }
  }
}
