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
  /// The tokens of each layer of a network whose other experts an audit tries one by one.
  package var auditTokens = 0
  /// The steps between checkpoints; nil: one at the end.
  public var checkpointEvery: Int?

  /// The default task's plan.
  public init() {}

  /// The learning rate of step t, from 1.
  ///
  /// *Source*: arXiv 1706.03762, equation 3, in the form of fairseq: the peak is a setting.
  package func rate(step t: Int) -> Double {
    let (t, w) = (Double(t), Double(warmUp))
    if t < w {
      let rate = learningRate * t / w
      return rate.isFinite ? rate : learningRate * (t / w)
    }
    return schedule == .constant ? learningRate : learningRate * (max(w, 1) / max(t, 1)).squareRoot()
  }

  /// Whether step t, from 1, is one of every so many.
  func isDue(_ every: Int?, _ t: Int) -> Bool { every.map { t.isMultiple(of: $0) } ?? false }
}

extension TrainingPlan {
  package var json: JSONValue {
    var members: [JSONValue.Member] = [
      .init(key: "steps", value: JSONValue(steps)), .init(key: "learningRate", value: JSONValue(learningRate)),
      .init(key: "schedule", value: .string(schedule.rawValue)), .init(key: "warmUp", value: JSONValue(warmUp)),
      .init(key: "beta2", value: JSONValue(beta2)), .init(key: "clip", value: JSONValue(clip)),
      .init(key: "evaluateEvery", value: JSONValue(evaluateEvery)), .init(key: "patience", value: JSONValue(patience)),
      .init(key: "auditEvery", value: JSONValue(auditEvery)),
    ]
    // Where there are none, plans are written as they were before there could be any.
    if auditTokens > 0 { members.append(.init(key: "auditTokens", value: JSONValue(auditTokens))) }
    members.append(.init(key: "checkpointEvery", value: JSONValue(checkpointEvery)))
    return .object(members)
  }

  package init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(
      value, of: "a training plan",
      only: [
        "steps", "learningRate", "schedule", "warmUp", "beta2", "clip", "evaluateEvery", "patience", "auditEvery",
        "auditTokens", "checkpointEvery",
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
    auditTokens = fields.has("auditTokens") ? try fields.integer("auditTokens") : 0
    checkpointEvery = try fields.optionalInteger("checkpointEvery")
    try validate()
  }

  /// A number of steps: more would take years, and the streams of random numbers are divided by it.
  static let stepLimit = Limit.whole(1...1 << 30)
  package static let learningRateLimit = Limit<Double>.positive
  static let warmUpLimit = Limit.whole(0...1 << 30)
  static let beta2Limit = Limit.number(0..<1)
  static let clipLimit = Limit<Double>.positive
  package static let auditTokensLimit = Limit.whole(0...1 << 20)

  /// - Throws: `InvalidInput` for the first setting that is out of range.
  package func validate() throws(InvalidInput) {
    try Self.stepLimit.require("steps", steps)
    try Self.learningRateLimit.require("learningRate", learningRate)
    try Self.warmUpLimit.require("warmUp", warmUp)
    try Self.beta2Limit.require("beta2", beta2)
    try Self.clipLimit.require("clip", clip)
    try Self.stepLimit.require("evaluateEvery", evaluateEvery)
    try Self.stepLimit.require("patience", patience)
    try Self.stepLimit.require("auditEvery", auditEvery)
    try Self.auditTokensLimit.require("auditTokens", auditTokens)
    if auditTokens > 0, auditEvery == nil {
      throw InvalidInput("auditTokens", "expected 0 without audits ('--audit-every'), got \(auditTokens)")
    }
    try Self.stepLimit.require("checkpointEvery", checkpointEvery)
  }
}
