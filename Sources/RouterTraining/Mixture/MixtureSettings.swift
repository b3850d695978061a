import FileFormats
import MixtureOfExperts
import RoutingCore

/// What decides a `MixtureModel` besides router and seed.
public struct MixtureSettings: Sendable, Equatable {
  /// Regression or classification.
  public var kind = MixtureTask.Kind.regression
  /// The share of the target's variance that is the shared teacher's; without effect in classification.
  public var shared = 0.75
  /// The tokens of a step.
  public var batch = 256
  /// The held-out tokens.
  package var heldOut = 1024
  /// The held-out tokens on which the router's gradient is audited.
  package var audited = 64
  /// N.
  public var experts = 8
  /// The width of the trunk.
  package var width = 32
  /// The hidden units of an expert.
  package var hidden = 32
  /// α of the load-balancing loss.
  public var loadBalance = 0.01
  /// β of the z-loss.
  package var zLoss = 0.0

  /// The default task.
  public init() {}
}

extension MixtureSettings: ModelSettings {
  package static let ids = MixtureTask.Kind.allCases.map(\.rawValue)
  package var id: String { kind.rawValue }

  package var auxiliary: AuxiliaryWeights {
    get { AuxiliaryWeights(loadBalance: loadBalance, zLoss: zLoss) }
    set { (loadBalance, zLoss) = (newValue.loadBalance, newValue.zLoss) }
  }

  package var json: JSONValue {
    .object(
      [
        .init(key: "shared", value: JSONValue(shared)), .init(key: "batch", value: JSONValue(batch)),
        .init(key: "heldOut", value: JSONValue(heldOut)), .init(key: "audited", value: JSONValue(audited)),
        .init(key: "experts", value: JSONValue(experts)), .init(key: "width", value: JSONValue(width)),
        .init(key: "hidden", value: JSONValue(hidden)), .init(key: "loadBalance", value: JSONValue(loadBalance)),
      ] + AuxiliaryWeights.members(zLoss: zLoss))
  }

  package init(id: String, _ fields: JSONFields) throws(InvalidInput) {
    try fields.requireOnly([
      "shared", "batch", "heldOut", "audited", "experts", "width", "hidden", "loadBalance", "zLoss",
    ])
    kind = MixtureTask.Kind(rawValue: id) ?? .regression
    shared = try fields.number("shared")
    batch = try fields.integer("batch")
    heldOut = try fields.integer("heldOut")
    audited = try fields.integer("audited")
    experts = try fields.integer("experts")
    width = try fields.integer("width")
    hidden = try fields.integer("hidden")
    loadBalance = try fields.number("loadBalance")
    zLoss = try fields.zLoss()
    try validate()
  }

  static let sharedLimit = Limit.number(0...1)
  static let batchLimit = Limit.whole(1...1 << 16)
  static let heldOutLimit = Limit.whole(2...1 << 16)
  static let expertsLimit = Limit.whole(2...1 << 10)
  static let widthLimit = Limit.whole(2...1 << 12)
  static let hiddenLimit = Limit.whole(1...1 << 12)

  /// - Throws: `InvalidInput` for the first setting that is out of range.
  package func validate() throws(InvalidInput) {
    try Self.sharedLimit.require("shared", shared)
    try auxiliary.validate()
    try Self.batchLimit.require("batch", batch)
    try Self.heldOutLimit.require("heldOut", heldOut)
    try Limit.whole(1...heldOut).require("audited", audited)
    try Self.expertsLimit.require("experts", experts)
    try Self.widthLimit.require("width", width)
    try Self.hiddenLimit.require("hidden", hidden)
    try TransformerShape.weightLimit.require("experts", 2 * experts * width * hidden)
  }

  package func validate(_ router: TrainingRouter) throws(InvalidInput) {}

  package func model(router: TrainingRouter, seed: UInt64) throws(InvalidInput) -> any TrainableModel {
    try validate()
    return MixtureModel(self, router: router, seed: seed)
  }
}
