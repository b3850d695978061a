import FileFormats
import MixtureOfExperts
import RoutingCore

/// `metrics.jsonl`: a line for every evaluation, from step 0.
package struct RunMetrics: Sendable {
  /// One line.
  package struct Line: Sendable {
    /// The number of steps done.
    package var step: Int
    /// The held-out loss; nil without held-out data, and where it is not finite.
    package var loss: Double?
    /// The audit of the router's gradient, if one was due.
    package var audit: RouterAudit?
    /// Why no step follows though the plan has more.
    package var stopped: Stop?
  }

  /// Why a run ended early.
  package enum Stop: String, Sendable, CaseIterable {
    case patience
    case diverged
  }

  package var lines: [Line] = []

  /// Reads a file; what follows the last line feed was cut off while it was written, and is left out.
  package init(_ bytes: [UInt8]) throws(InvalidInput) {
    for (k, line) in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).dropLast()
      .enumerated()
    {
      do {
        lines.append(try Line(JSONParser.parse(Array(line))))
      } catch {
        throw InvalidInput("line \(k + 1)", "\(error)")
      }
    }
  }

  /// Whether the run is complete, with so many steps planned.
  package func isComplete(_ plan: TrainingPlan) -> Bool {
    lines.last.map { $0.step >= plan.steps || $0.stopped != nil } ?? false
  }

  /// The smallest loss, and the number of evaluations since.
  var best: (loss: Double, evaluationsSince: Int)? {
    var best: (loss: Double, evaluationsSince: Int)?
    for case let loss? in lines.map(\.loss) {
      best = best.map { loss < $0.loss ? (loss, 0) : ($0.loss, $0.evaluationsSince + 1) } ?? (loss, 0)
    }
    return best
  }
}

extension RunMetrics.Line {
  init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(value, of: "a line of metrics")
    step = try fields.integer("step")
    loss = try JSONFields(fields.value("heldOut", "an object"), of: "held-out figures").optionalNumberIfPresent("loss")
    if fields.has("audit"), case let value = try fields.value("audit", "an object"), value != .null {
      let audit = try JSONFields(value, of: "an audit")
      self.audit = RouterAudit(
        targetNorm: try audit.number("targetNorm"), relativeBias: try audit.number("relativeBias"),
        relativeDeviation: try audit.number("relativeStandardDeviation"), cosine: try audit.number("cosine"))
    }
    if fields.has("stopped") {
      stopped = RunMetrics.Stop(
        rawValue: try fields.word("stopped", among: RunMetrics.Stop.allCases.map(\.rawValue)))
    }
  }
}

extension JSONFields {
  /// A number, or nil where the field is null or missing.
  fileprivate func optionalNumberIfPresent(_ key: String) throws(InvalidInput) -> Double? {
    has(key) ? try optionalNumber(key) : nil
  }
}

extension RouterAudit {
  package var json: JSONValue {
    [
      "targetNorm": JSONValue(targetNorm), "relativeBias": JSONValue(relativeBias),
      "relativeStandardDeviation": JSONValue(relativeDeviation), "cosine": JSONValue(cosine),
    ]
  }
}

extension RoutingFigures {
  var json: JSONValue {
    ["entropy": JSONValue(entropy.isFinite ? entropy : nil), "load": JSONValue(load), "dropped": JSONValue(dropped)]
  }
}
