import FileFormats
import RoutingCore

/// How a run trains, whatever the model: what decides its bytes besides model, router and seed.
public struct TrainingPlan: Sendable, Equatable {
  /// How the learning rate goes on after the warm-up.
  public enum Schedule: String, Sendable, CaseIterable {
    /// It stays.
    case constant
    /// `η √(w/t)`, w the steps of the warm-up.
    case inverseSquareRoot = "inverse-square-root"
  }

  /// The number of steps.
  public var steps = 800
  /// η, what the warm-up leads to.
  public var learningRate = 0.02
  /// How it goes on.
  public var schedule = Schedule.constant
  /// The steps over which the learning rate rises, `η t/w`.
  public var warmUp = 20
  /// β₂ of Adam.
  public var beta2 = 0.98
  /// The largest norm that all gradients together keep; nil: any.
  public var clip: Double?
  /// The steps between evaluations.
  public var evaluateEvery = 25
  /// The run ends when so many evaluations together have not lowered the smallest held-out loss; nil: it does not.
  public var patience: Int?
  /// The steps between audits of the router's gradient; nil: there are none.
  public var auditEvery: Int?
  /// The steps between checkpoints; nil: one at the end.
  public var checkpointEvery: Int?

  /// The default task's plan.
  public init() {}

  /// The learning rate of step t, from 1.
  ///
  /// *Source*: arXiv 1706.03762, equation 3, in the form of fairseq: the peak is a setting.
  public func rate(step t: Int) -> Double {
    let (t, w) = (Double(t), Double(warmUp))
    if t < w { return learningRate * t / w }
    return schedule == .constant ? learningRate : learningRate * (max(w, 1) / max(t, 1)).squareRoot()
  }

  /// Whether step t, from 1, is one of every so many.
  func isDue(_ every: Int?, _ t: Int) -> Bool { every.map { t.isMultiple(of: $0) } ?? false }
}

extension TrainingPlan {
  package var json: JSONValue {
    [
      "steps": JSONValue(steps), "learningRate": JSONValue(learningRate), "schedule": .string(schedule.rawValue),
      "warmUp": JSONValue(warmUp), "beta2": JSONValue(beta2), "clip": JSONValue(clip),
      "evaluateEvery": JSONValue(evaluateEvery), "patience": JSONValue(patience), "auditEvery": JSONValue(auditEvery),
      "checkpointEvery": JSONValue(checkpointEvery),
    ]
  }

  package init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(
      value, of: "a training plan",
      only: [
        "steps", "learningRate", "schedule", "warmUp", "beta2", "clip", "evaluateEvery", "patience", "auditEvery",
        "checkpointEvery",
      ])
    steps = try fields.integer("steps")
    learningRate = try fields.number("learningRate")
    schedule = Schedule(rawValue: try fields.word("schedule", among: Schedule.allCases.map(\.rawValue))) ?? .constant
    warmUp = try fields.integer("warmUp")
    beta2 = try fields.number("beta2")
    clip = try fields.optionalNumber("clip")
    evaluateEvery = try fields.integer("evaluateEvery")
    patience = try fields.optionalInteger("patience")
    auditEvery = try fields.optionalInteger("auditEvery")
    checkpointEvery = try fields.optionalInteger("checkpointEvery")
    try validate()
  }

  /// - Throws: `InvalidInput` for the first setting that is out of range.
  package func validate() throws(InvalidInput) {
    func require(_ name: String, _ value: Int?, atLeast least: Int) throws(InvalidInput) {
      guard let value else { return }
      guard (least...1 << 40).contains(value) else {
        throw InvalidInput(name, "expected at least \(least), got \(value)")
      }
    }
    func require(_ name: String, _ holds: Bool, _ expectation: String, _ value: Double) throws(InvalidInput) {
      guard holds else { throw InvalidInput(name, "expected \(expectation), got \(value)") }
    }
    try require("steps", steps, atLeast: 1)
    try require("learningRate", learningRate > 0 && learningRate.isFinite, "a number above 0", learningRate)
    try require("warmUp", warmUp, atLeast: 0)
    try require("beta2", beta2 >= 0 && beta2 < 1, "a number from 0 to below 1", beta2)
    if let clip { try require("clip", clip > 0 && clip.isFinite, "a number above 0", clip) }
    try require("evaluateEvery", evaluateEvery, atLeast: 1)
    try require("patience", patience, atLeast: 1)
    try require("auditEvery", auditEvery, atLeast: 1)
    try require("checkpointEvery", checkpointEvery, atLeast: 1)
  }
}

extension JSONFields {
  /// A number, or null.
  func optionalNumber(_ key: String) throws(InvalidInput) -> Double? {
    try value(key, "a number or null") == .null ? nil : number(key)
  }

  /// A whole number, or null.
  func optionalInteger(_ key: String) throws(InvalidInput) -> Int? {
    try value(key, "a whole number or null") == .null ? nil : integer(key)
  }
}
