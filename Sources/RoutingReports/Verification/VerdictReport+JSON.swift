import CStandardLibrary
import FileFormats
import RoutingCore
import RoutingEstimators
import RoutingVerification

/// The natural logarithm, for files that do not import the C library.
func logarithm(_ x: Double) -> Double { log(x) }

extension VerdictReport {
  /// The verdict in the format `routegrad.verdict/1`.
  public var json: String {
    let (claim, criteria) = (evidence.claim, evidence.criteria)
    return JSONWriter.indented([
      "schema": "routegrad.verdict/1", "version": .string(routeGradVersion),
      "verdict": .string(evidence.verdict.rawValue),
      "problem": JSONValue(problem.problem.name),
      "mask": ["rule": .string(mask.rule), "threshold": JSONValue(mask.threshold)],
      "samples": ["source": .string(source), "format": .string(format), "count": JSONValue(evidence.samples)],
      "claim": [
        "estimator": claim.estimator.map {
          ["id": .string(type(of: $0).id), "parameters": $0.values.json]
        } ?? .null,
        "target": JSONValue(claim.target?.rawValue),
        "mean": JSONValue(claim.mean), "meanError": .number(claim.meanError),
        "lower": JSONValue(claim.bounds.lower), "upper": JSONValue(claim.bounds.upper),
      ],
      "falseFailRate": .number(criteria.rates.falseFail), "falsePassRate": .number(criteria.rates.falsePass),
      "relativeTolerance": .number(criteria.relativeTolerance), "tolerance": .number(evidence.tolerance),
      "detectableBias": .number(evidence.detectableBias),
      "smallestDetectableBias": JSONValue(evidence.smallestDetectableBias),
      "requiredSamples": JSONValue(evidence.requiredSamples),
      "seed": JSONValue(evidence.seed.map { "\($0)" }),
      "parts": .array(evidence.parts.map(\.json)),
      "counterExample": evidence.counterExample?.json(place: counterExamplePlace) ?? .null,
    ])
  }
}

extension Evidence.Part {
  fileprivate var json: JSONValue {
    switch self {
    case .conformance(let part):
      [
        "check": "conformance", "verdict": .string(part.verdict.rawValue),
        "outcomesSeen": JSONValue(part.outcomesSeen), "outcomes": JSONValue(part.outcomes),
        "unseenProbability": .number(part.unseenProbability), "largestDeviation": .number(part.largestDeviation),
      ]
    case .moments(let part):
      [
        "check": "moments", "verdict": .string(part.counterExample == nil ? "proved" : "refuted"),
        "mean": JSONValue(part.found.mean), "variance": JSONValue(part.found.variance),
        "meanDeviation": .number(part.meanDeviation), "covarianceDeviation": JSONValue(part.covarianceDeviation),
      ]
    case .mean(let part):
      [
        "check": "mean", "verdict": .string(part.verdict.rawValue), "samples": JSONValue(part.samples),
        "logEValue": .number(part.logEValue), "jointLogEValue": .number(part.jointLogEValue),
        "sampleMean": JSONValue(part.sampleMean),
        "lower": JSONValue(part.intervals.map(\.lowerBound)), "upper": JSONValue(part.intervals.map(\.upperBound)),
        "coordinatesPassed": JSONValue(part.coordinatesPassed), "worstCoordinate": JSONValue(part.worstCoordinate),
        "path": [
          "samples": JSONValue(part.path.map(\.samples)), "jointLogEValue": JSONValue(part.path.map(\.logEValue)),
        ],
      ]
    case .frequencies(let part):
      [
        "check": "choices", "logEValue": .number(part.logEValue), "samples": JSONValue(part.samples),
        "outcomes": JSONValue(part.outcomes),
      ]
    }
  }
}

extension ForeignCounterExample {
  fileprivate func json(place: String?) -> JSONValue {
    [
      "kind": .string(kind.rawValue), "row": JSONValue(row), "place": JSONValue(place),
      "choice": draw.map { JSONValue($0.choice) } ?? .null,
      "coins": draw?.coins.map { JSONValue($0) } ?? .null,
      "coordinate": JSONValue(coordinate), "found": JSONValue(found),
      "expected": JSONValue(expected),
    ]
  }
}
