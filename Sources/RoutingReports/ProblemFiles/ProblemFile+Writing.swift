import FileFormats
import RoutingCore
import RoutingVerification

extension ProblemFile {
  /// A problem as a file that ``problems(of:file:)`` reads back: every number to the last bit, ω already applied to the
  /// expert outputs.
  ///
  /// - Throws: `Unavailable` if the objective is not one of the types that files have.
  public static func text(of problem: RoutingProblem) throws(Unavailable) -> String {
    JSONWriter.indented(try json(of: problem))
  }

  static func json(of problem: RoutingProblem) throws(Unavailable) -> JSONValue {
    var fields: [(String, JSONValue)] = [("schema", .string(single))]
    if let name = problem.name { fields.append(("name", .string(name))) }
    fields.append(("kind", .string(problem.kind.rawValue)))
    fields.append(("logits", JSONValue(problem.logits)))
    switch problem {
    case .categorical(let categorical):
      switch categorical.source {
      case .objective(let objective): fields.append(("objective", try json(of: objective)))
      case .table(let values, let gradients):
        let table: JSONValue = [
          "type": "tabulated", "values": JSONValue(values), "gradients": rows(gradients),
        ]
        fields.append(("objective", table))
      }
    case .mixture(let mixture):
      if let outputs = mixture.directions { fields.append(("expertOutputs", rows(outputs.asRows))) }
      if let standIns = mixture.standInDirections { fields.append(("defaultOutputs", rows(standIns.asRows))) }
      switch mixture.source {
      case .loss(let loss): fields.append(("loss", try json(of: loss)))
      case .table(let table): fields.append(("loss", json(of: table)))
      }
    }
    return .object(fields.map { .init(key: $0.0, value: $0.1) })
  }

  private static func json(of table: MixtureTable) -> JSONValue {
    [
      "type": "tabulated", "nodes": JSONValue(table.nodes), "values": rows(table.values), "slopes": rows(table.slopes),
      "valueAtZero": .number(table.valueAtZero),
      "mask": ["rule": .string(table.mask.rule), "threshold": JSONValue(table.mask.threshold)],
    ]
  }

  private static func json(of objective: any Objective) throws(Unavailable) -> JSONValue {
    func type(_ type: ObjectiveType) -> JSONValue { .string(type.rawValue) }
    switch objective {
    case let linear as Linear:
      return ["type": type(.linear), "coefficients": JSONValue(linear.coefficients)]
    case let quadratic as Quadratic:
      return ["type": type(.quadratic), "matrix": rows(quadratic.matrix), "linear": JSONValue(quadratic.linear)]
    case let power as SeparablePower:
      return [
        "type": type(.separablePower), "exponent": .number(power.exponent), "targets": JSONValue(power.targets),
        "weights": JSONValue(power.weights),
      ]
    case let logCosh as LogCosh:
      return ["type": type(.logCosh), "scales": JSONValue(logCosh.scales), "targets": JSONValue(logCosh.targets)]
    case let entropy as SoftmaxCrossEntropy:
      return [
        "type": type(.softmaxCrossEntropy), "weights": rows(entropy.weights), "biases": JSONValue(entropy.biases),
        "label": JSONValue(entropy.label),
      ]
    case let polynomial as Polynomial:
      return [
        "type": type(.polynomial), "coefficients": JSONValue(polynomial.coefficients),
        "direction": JSONValue(polynomial.direction),
      ]
    default: throw Unavailable("files have no objective of the type \(Swift.type(of: objective))")
    }
  }

  private static func rows(_ rows: [[Double]]) -> JSONValue { .array(rows.map { JSONValue($0) }) }
}

extension CounterExample {
  /// What is wrong, the problem as a file, and the command that looks into it.
  public var report: String {
    do throws(Unavailable) {
      let file = try ProblemFile.text(of: problem.problem)
      var command = "routegrad report counter-example.json"
      if let threshold = problem.mask.threshold {
        command += " --mask \(problem.mask.rule) --threshold \(JSONWriter.number(threshold))"
      }
      return "\(description)\n\nSave as counter-example.json, then: \(command)\n\n\(file)"
    } catch {
      return "\(description)\n\n(\(error))\n"
    }
  }
}

extension PropertyResult {
  /// The counter-example with its problem file, or that there is none.
  public var report: String { counterExample?.report ?? description + "\n" }
}
