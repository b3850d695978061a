import FileFormats
import MixtureOfExperts
import RoutingCore

/// `metrics.jsonl`: a line for every evaluation, from step 0.
public struct RunMetrics: Sendable {
  /// One line.
  public struct Line: Sendable {
    /// The number of steps done.
    public var step: Int
    /// The held-out loss; nil without held-out data, and where it is not finite.
    public var loss: Double?
    /// The audit of the router's gradient, if one was due.
    public var audit: RouterAudit?
    /// The audit of a network's routers, likewise.
    package var networkAudit: NetworkAudit?
    /// Why no step follows though the plan has more.
    public var stopped: Stop?
  }

  /// Why a run ended early.
  public enum Stop: String, Sendable, CaseIterable {
    case patience
    case diverged
  }

  public package(set) var lines: [Line] = []

  /// Reads a file; what follows the last line feed was cut off while it was written, and is left out.
  ///
  /// - Parameter plan: the plan of the run whose metrics they are.
  /// - Throws: `InvalidInput` that names line and field: every field of every line is looked at.
  package init(_ bytes: [UInt8], _ plan: TrainingPlan) throws(InvalidInput) {
    for (k, line) in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).dropLast()
      .enumerated()
    {
      do throws(InvalidInput) {
        let value: JSONValue
        do { value = try JSONParser.parse(Array(line)) } catch { throw error.inLine }
        lines.append(try Line(value, after: lines.last, plan))
      } catch {
        throw InvalidInput("line \(k + 1)", error.description)
      }
    }
  }

  /// Whether the run is complete, with so many steps planned.
  public func isComplete(_ plan: TrainingPlan) -> Bool {
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
  /// - Parameter last: the line before it, nil before the first.
  init(_ value: JSONValue, after last: RunMetrics.Line?, _ plan: TrainingPlan) throws(InvalidInput) {
    let fields = try JSONFields(
      value, of: "a line of metrics",
      only: [
        "step", "heldOut", "trainingLoss", "auxiliaryLoss", "learningRate", "gradientNorm", "routers", "audit",
        "stopped",
      ])
    step = try fields.integer("step")
    if let last {
      guard last.stopped == nil else {
        throw InvalidInput("", "expected no line after the one that says why the run stopped")
      }
      // A run may diverge right after an evaluation.
      let least = fields.has("stopped") ? last.step : last.step + 1
      try Limit("a step from \(least) to \(plan.steps)") { (least...max(least, plan.steps)).contains($0) }
        .require("step", step)
    } else {
      try Limit("0, the step of the first line") { $0 == 0 }.require("step", step)
    }
    let heldOut = try fields.object("heldOut", of: "held-out figures")
    do throws(InvalidInput) {
      for name in heldOut.names { _ = try heldOut.optionalNumber(name) }
      loss = heldOut.has("loss") ? try heldOut.optionalNumber("loss") : nil
      try Limit.notNegative.require("loss", loss)
    } catch {
      throw error.inside("heldOut")
    }
    for name in ["trainingLoss", "auxiliaryLoss"] where fields.has(name) { _ = try fields.number(name) }
    for name in ["learningRate", "gradientNorm"] where fields.has(name) {
      try Limit.notNegative.require(name, try fields.optionalNumber(name))
    }
    if fields.has("routers") { try RoutingFigures.require(fields.value("routers", "a list of routers")) }
    if try fields.isGiven("audit") {
      let members = try fields.object("audit", of: "an audit")
      do throws(InvalidInput) {
        if members.has("layers") {
          networkAudit = try NetworkAudit(members)
        } else {
          audit = try RouterAudit(members)
        }
      } catch {
        throw error.inside("audit")
      }
    }
    if fields.has("stopped") {
      stopped = RunMetrics.Stop(
        rawValue: try fields.word("stopped", among: RunMetrics.Stop.allCases.map(\.rawValue)))
    }
  }
}

extension RouterAudit {
  fileprivate init(_ fields: JSONFields) throws(InvalidInput) {
    try fields.requireOnly(["targetNorm", "relativeBias", "relativeStandardDeviation", "cosine"])
    self.init(
      targetNorm: try fields.number("targetNorm", .notNegative),
      relativeBias: try fields.number("relativeBias", .notNegative),
      relativeDeviation: try fields.number("relativeStandardDeviation", .notNegative),
      cosine: try fields.number("cosine", .number(-1...1)))
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
  /// Throws unless a value is a list of figures.
  fileprivate static func require(_ value: JSONValue) throws(InvalidInput) {
    guard case .array(let items) = value else { throw InvalidInput("routers", "expected a list, got \(value.kind)") }
    for (k, item) in items.enumerated() {
      do throws(InvalidInput) {
        let fields = try JSONFields(item, of: "a router's figures", only: ["entropy", "load", "dropped"])
        try Limit.notNegative.require("entropy", try fields.optionalNumber("entropy"))
        _ = try fields.integer("dropped", .count)
        for (i, load) in try fields.numbers("load").enumerated() where load < 0 || Int(exactly: load) == nil {
          throw InvalidInput("load[\(i)]", "expected a whole number of at least 0, got \(load)")
        }
      } catch {
        throw error.inside("routers", at: k)
      }
    }
  }

  var json: JSONValue {
    ["entropy": JSONValue(entropy.isFinite ? entropy : nil), "load": JSONValue(load), "dropped": JSONValue(dropped)]
  }
}
