import FileFormats
import RoutingCore

/// The weights of the auxiliary losses of a model's routers: with the learning rate, what is tuned for each router.
package struct AuxiliaryWeights: Sendable, Hashable {
  /// α of the load-balancing loss.
  package var loadBalance: Double
  /// β of the z-loss.
  package var zLoss: Double

  package init(loadBalance: Double, zLoss: Double) {
    self.loadBalance = loadBalance
    self.zLoss = zLoss
  }

  /// - Throws: `InvalidInput` for one that is negative.
  func validate() throws(InvalidInput) {
    try Limit.notNegative.require("loadBalance", loadBalance)
    try Limit.notNegative.require("zLoss", zLoss)
  }

  package var json: JSONValue { ["loadBalance": JSONValue(loadBalance), "zLoss": JSONValue(zLoss)] }

  /// Reads a field that has them.
  package init(_ key: String, of fields: JSONFields) throws(InvalidInput) {
    let members = try fields.object(key, of: "weights of auxiliary losses", only: ["loadBalance", "zLoss"])
    do throws(InvalidInput) {
      loadBalance = try members.number("loadBalance")
      zLoss = try members.number("zLoss")
      try validate()
    } catch {
      throw error.inside(key)
    }
  }

  /// Where there is no z-loss, settings are written as they were before there could be one.
  static func members(zLoss: Double) -> [JSONValue.Member] {
    zLoss > 0 ? [.init(key: "zLoss", value: JSONValue(zLoss))] : []
  }
}

extension JSONFields {
  /// β of the z-loss; 0 where it is not said.
  func zLoss() throws(InvalidInput) -> Double { has("zLoss") ? try number("zLoss") : 0 }
}
