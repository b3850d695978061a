import Foundation
import RoutingCore
import Testing

import enum _TestSupport.DecodedJSON
import func _TestSupport.relativeError

/// A loss that another program evaluated gives the numbers that this program would have found itself.
struct TabulatedProblemTests {
  private static let logits = [0.3, -0.2, 0.45, 0.4]
  private static let outputs = [[0.1, 0.2], [1.0, -0.4], [0.0, 0.3], [-0.7, 0.6]]
  private static let loss = #"{"type": "log-cosh", "scales": [1.0, 2.0], "targets": [0.5, -0.5]}"#

  private static func problem(_ loss: String, outputs: Bool) -> String {
    """
    {"schema": "routegrad.problem/1", "name": "p", "kind": "mixture", "logits": \(logits),
     \(outputs ? "\"expertOutputs\": \(Self.outputs)," : "") "loss": \(loss)}
    """
  }

  /// The table of the same loss at some nodes, computed with textbook formulas.
  private static func table(nodes: [Double], mask: Mask) throws -> String {
    let loss = try LogCosh(scales: [1, 2], targets: [0.5, -0.5])
    let p = RoutingDistribution(logits: logits, mask: mask).probabilities
    func rows(_ quantity: (_ point: [Double], _ output: [Double]) -> Double) -> [[Double]] {
      outputs.indices.map { i in
        nodes.map { c in quantity(outputs[i].map { c * p[i] * $0 }, outputs[i]) }
      }
    }
    let values = rows { point, _ in loss.value(at: point) }
    let slopes = rows { point, output in dot(loss.gradient(at: point), output) }
    let threshold = mask.threshold.map { "\($0)" } ?? "null"
    return problem(
      """
      {"type": "tabulated", "nodes": \(nodes), "values": \(values), "slopes": \(slopes),
       "valueAtZero": \(loss.value(at: [0, 0])), "mask": {"rule": "\(mask.rule)", "threshold": \(threshold)}}
      """, outputs: false)
  }

  private func report(_ input: String, _ arguments: [String] = []) throws -> DecodedJSON {
    let run = try Tool.run(["report", "-", "--format", "json"] + arguments, input: input)
    try #require(run.status == 0, "\(run.error)")
    return try DecodedJSON(run.output)["problems"][0]
  }

  @Test(arguments: [Mask.none, .paper(threshold: 0.1), .referenceCode(threshold: 0.25)])
  func givesTheNumbersOfTheComputedProblem(mask: Mask) throws {
    let estimators = [
      "--estimators",
      "reinforce,reinforce:baseline=optimal,conventional,first-order,midpoint,sparsemixer,sparsemixer-v2,"
        + "quadrature:rule=heun3,quadrature:rule=heun3,evaluation=one-node,exact",
    ]
    let asked = mask.threshold.map { ["--mask", mask.rule, "--threshold", "\($0)"] } ?? []
    let computed = try report(Self.problem(Self.loss, outputs: true), estimators + asked)
    let table = try Self.table(nodes: [1, 0.5, 1.0 / 3], mask: mask)
    // Its own mask is used without being asked for.
    for tabulated in [try report(table, estimators), try report(table, estimators + asked)] {
      #expect(tabulated["mask"] == computed["mask"])
      #expect(abs(tabulated["expectedLoss"].number! - computed["expectedLoss"].number!) < 1e-14)
      for target in ["expected-loss", "routing-term", "gating-term"] {
        let ours = try #require(tabulated["targets"][target].numbers)
        #expect(relativeError(of: ours, from: try #require(computed["targets"][target].numbers)) < 1e-13)
      }
      #expect(tabulated["targets"]["dense-mixture"] == .null)
      #expect(tabulated["targets"]["dense-backward"] == .null)
      #expect(tabulated["estimators"].items.count == 10)
      for (ours, theirs) in zip(tabulated["estimators"].items, computed["estimators"].items) {
        #expect(ours["id"] == theirs["id"])
        let mean = try #require(theirs["mean"].numbers)
        #expect(relativeError(of: ours["mean"].numbers ?? [], from: mean) < 1e-13, "\(ours)")
        // A variance that vanishes is rounding of the size of the squared mean.
        let square = mean.reduce(0) { max($0, $1 * $1) }
        let variance = try #require(theirs["variance"].numbers)
        #expect(
          relativeError(of: ours["variance"].numbers ?? [], from: variance, scale: square) < 1e-13, "\(ours)")
      }
    }
  }

  @Test func whatTheTableDoesNotHoldIsUnavailable() throws {
    let table = try Self.table(nodes: [1, 1.0 / 3], mask: .none)
    let problem = try report(
      table,
      ["--estimators", "midpoint,sparsemixer-v2,dense-backward,reinmax,sparsemixer-v2-top2,default-moe"])
    let entries = problem["estimators"].items
    #expect(
      entries[0]
        == .object(["id": .string("midpoint"), "unavailable": .string("needs the slope at 0.5")]))
    #expect(entries[1]["mean"].numbers?.count == 4)
    for (entry, id) in zip(
      entries[2...], ["dense-backward", "reinmax", "sparsemixer-v2-top2", "default-moe"])
    {
      #expect(entry.keys == ["id", "unavailable"])
      #expect(entry["id"].string == id)
      #expect(entry["unavailable"].string?.hasPrefix("needs ") == true)
    }
    // Without the node 1 there is no value either.
    let blind = try report(try Self.table(nodes: [0.5], mask: .none), ["--estimators", "exact,reinforce"])
    #expect(blind["expectedLoss"] == .null)
    #expect(blind["targets"]["expected-loss"] == .null)
    #expect(blind["estimators"][1]["unavailable"].string == "needs the value at 1")
  }

  @Test func nodesAreFoundWithinRounding() throws {
    let table = try Self.table(nodes: [1, 0.5, 1.0 / 3], mask: .none)
    let rounded = table.replacing("0.3333333333333333", with: "0.33333333333350")
    try #require(rounded != table)
    #expect(
      try report(rounded, ["--estimators", "sparsemixer-v2"])["estimators"][0]["mean"].numbers != nil)
    let wrong = table.replacing("0.3333333333333333", with: "0.3333333333")
    #expect(
      try report(wrong, ["--estimators", "sparsemixer-v2"])["estimators"][0]["unavailable"].string
        == "needs the slope at 0.333333")
  }

  @Test func anotherMaskIsRefused() throws {
    let table = try Self.table(nodes: [1, 0.5], mask: .paper(threshold: 0.1))
    for mask in [
      ["--mask", "none"], ["--mask", "reference-code"], ["--mask", "paper", "--threshold", "0.2"],
    ] {
      for command in [["report", "-"], ["order", "-"], ["outcomes", "-", "--estimator", "midpoint"]] {
        expectRefusal(
          try Tool.run(command + mask, input: table), status: 64, "standard input (p): ",
          "the loss was tabulated with the mask paper 0.1; it takes no other")
      }
    }
    #expect(try Tool.run(["report", "-", "--mask", "paper"], input: table).status == 0)
  }

  @Test func categoricalTablesGiveTheNumbersOfTheComputedProblem() throws {
    let table = """
      {"schema": "routegrad.problem/1", "kind": "categorical", "logits": [0.5, -0.5, 0.1],
       "objective": {"type": "tabulated", "values": [1.5, 3, 3.5], "gradients": [[1, 2, 3], [2, 4, 5], [3, 5, 4]]}}
      """
    let computed = """
      {"schema": "routegrad.problem/1", "kind": "categorical", "logits": [0.5, -0.5, 0.1],
       "objective": {"type": "quadratic", "matrix": [[1, 2, 3], [2, 4, 5], [3, 5, 4]], "linear": [0, 0, 0]}}
      """
    // ½ zᵀAz at the one-hots is ½ of A's diagonal.
    let halved = table.replacing("[1.5, 3, 3.5]", with: "[0.5, 2, 2]")
    #expect(try report(halved) == report(computed))
    #expect(try report(table) != report(computed))
  }

  @Test func ordersCannotBeMeasured() throws {
    let run = try Tool.run(
      ["order", "-", "--format", "json"], input: try Self.table(nodes: [1], mask: .none))
    #expect(run.status == 0)
    let orders = try DecodedJSON(run.output)["problems"][0]["orders"].items
    #expect(orders.count > 10)
    for order in orders {
      #expect(order["unavailable"].string == "needs the loss as a function, which a table is not")
      #expect(order["exact"].bool == false)
    }
  }
}
