import FileFormats
import RouterSpecifications
import RoutingCore
import RoutingReports
import Testing
import _TestSupport

/// The form `routegrad.router-spec/1`: exact both ways, and strict.
@Suite struct RouterSpecificationJSONTests {
  @Test(arguments: RouterFixture.autograd)
  func readsBackWhatItWrites(_ fixture: RouterFixture) throws {
    let line = JSONWriter.line(fixture.specification.json)
    #expect(try RouterSpecification(try JSONParser.parse(Array(line.utf8))) == fixture.specification)
  }

  @Test func everyFieldReadsBack() throws {
    let specification = RouterSpecification(
      name: "all of it", experts: 12, noise: .init(.gumbel, width: 0.1, reachesGates: false),
      score: .init(.sigmoid, temperature: 1.0 / 3), key: .logits, hasSelectionBias: true,
      groups: .init(count: 3, kept: 2, score: .sumOfTwo), mask: .paper(threshold: 0.1), selection: .topK(2),
      gate: .init(
        .score, isNormalized: true, epsilon: 1e-20, floor: 1e-7, sumsOverKept: true, scale: 2.5, hasExpertScales: true,
        gradientFactor: 2, outputScales: [1, 1.0 / 3]),
      applied: .input, takesFunctions: true, nullExperts: .init(count: 2, kind: .identity),
      capacity: .init(3, priority: .rank),
      auxiliaryLosses: [
        .init(.balance, coefficient: 0.1, counting: .first, probabilities: .normalizedScore, scope: .global),
        .init(.cvSquared, coefficient: -1e-300, probabilities: .gate, scope: .sequence),
      ], biasUpdate: .init(.proportional, rate: 1e-3), replays: true)
    let text = JSONWriter.indented(specification.json)
    #expect(try RouterSpecification(try JSONParser.parse(Array(text.utf8))) == specification)
  }

  @Test(arguments: [
    RouterSpecification.Selection.topK(2), .topP(mass: 0.1 + 0.2, count: 3), .threshold(above: -0.1, count: 2),
    .expertChoice(3), .sampled(2), .forced(1), .unstated(atMost: 2, joint: false, fewer: false),
    .unstated(atMost: 2, joint: true, fewer: true),
  ])
  func everySelectionReadsBack(_ selection: RouterSpecification.Selection) throws {
    for gate in [nil, RouterSpecification.Gate(), .init(.one)] {
      let specification = RouterSpecification(name: "s", experts: 4, selection: selection, gate: gate)
      #expect(try RouterSpecification(specification.json) == specification)
    }
  }

  @Test func nullIsLeftOut() throws {
    let bare = try RouterSpecification(value("{SCHEMA, \"selection\": {\"kind\": \"top-k\", \"count\": 1}}"))
    #expect(bare == RouterSpecification(name: "r", experts: 4, selection: .topK(1)))
    let nulls = [
      "noise", "score", "key", "selectionBias", "groups", "mask", "applied", "functions", "nullExperts", "capacity",
      "auxiliaryLosses", "biasUpdate", "replays",
    ].map { "\"\($0)\": null" }.joined(separator: ", ")
    #expect(
      try RouterSpecification(value("{SCHEMA, \"selection\": {\"kind\": \"top-k\", \"count\": 1}, \(nulls)}")) == bare)
    let unstated = try RouterSpecification(
      value("{SCHEMA, \"selection\": {\"kind\": \"top-k\", \"count\": 1}, \"gate\": null}"))
    #expect(unstated.gate == nil)
  }

  struct Refusal: Sendable, CustomTestStringConvertible {
    var fields: String
    var message: String
    var testDescription: String { fields }
  }

  private static let top1 = "\"selection\": {\"kind\": \"top-k\", \"count\": 1}"

  static let refusals = [
    Refusal(fields: "", message: "selection: expected a selection (an object), the field is missing"),
    Refusal(fields: "\"selection\": 1", message: "selection: expected a selection (an object), got a number"),
    Refusal(
      fields: "\"selection\": {\"kind\": \"top-k\", \"count\": 5}",
      message: "selection.count: expected a whole number from 1 to 4, got 5"),
    Refusal(
      fields: "\"selection\": {\"kind\": \"top-k\", \"count\": 1.5}",
      message: "selection.count: expected a whole number, got 1.5"),
    Refusal(
      fields: "\"selection\": {\"kind\": \"top-k\", \"count\": 1, \"mass\": 0.5}",
      message: "selection.mass: expected no such field; a selection has kind, always, count"),
    Refusal(
      fields: "\"selection\": {\"kind\": \"best\", \"count\": 1}",
      message: "selection.kind: expected one of \"top-k\", \"top-p\", \"threshold\", \"expert-choice\", \"sampled\", "
        + "\"forced\", \"unstated\", got \"best\""),
    Refusal(fields: top1 + ", \"scale\": 2", message: "scale: expected no such field; a router specification has "),
    Refusal(
      fields: top1 + ", \"score\": \"tanh\"",
      message:
        "score: expected one of \"softmax\", \"sigmoid\", \"softplus-sqrt\", \"relu\", \"exp\", \"identity\", got \"tanh\""
    ),
    Refusal(
      fields: top1 + ", \"score\": {\"kind\": \"sigmoid\", \"temperature\": 0}",
      message: "score.temperature: expected a finite number above 0, got 0.0"),
    Refusal(
      fields: top1 + ", \"groups\": {\"count\": 3, \"kept\": 1, \"score\": \"max\"}",
      message: "groups.count: expected a divisor of 4, the number of experts, got 3"),
    Refusal(
      fields: top1 + ", \"noise\": {\"kind\": \"learned-normal\", \"width\": 1}",
      message: "noise.width: expected no such field; noise has kind, reaches"),
    Refusal(
      fields: top1 + ", \"noise\": {\"kind\": \"normal\"}",
      message: "noise.width: expected a number, the field is missing"),
    Refusal(
      fields: top1 + ", \"gate\": {\"normalized\": 1}", message: "gate.normalized: expected true or false, got a number"
    ),
    Refusal(
      fields: top1 + ", \"gate\": {\"outputScales\": []}",
      message: "gate.outputScales: expected at least one number, got none"),
    Refusal(
      fields: top1 + ", \"mask\": {\"rule\": \"none\", \"threshold\": 1}",
      message: "mask.threshold: expected null with the rule \"none\", got a number"),
    Refusal(
      fields: top1 + ", \"auxiliaryLosses\": [{\"kind\": \"z\"}, {\"kind\": \"balance\", \"scope\": \"world\"}]",
      message: "auxiliaryLosses[1].scope: expected one of \"batch\", \"sequence\", \"global\", got \"world\""),
    Refusal(
      fields: top1 + ", \"auxiliaryLosses\": [1]",
      message: "auxiliaryLosses[0]: expected an auxiliary loss (an object), got a number"),
    Refusal(
      fields: top1 + ", \"biasUpdate\": {\"rule\": \"sign\", \"rate\": 1}",
      message: "biasUpdate: expected \"selectionBias\": true with it"),
    Refusal(
      fields: top1 + ", \"selectionBias\": \"yes\"", message: "selectionBias: expected true or false, got a string"),
  ]

  @Test(arguments: refusals)
  func refusesWhatItDoesNotKnow(_ refusal: Refusal) throws {
    let value = try value("{SCHEMA\(refusal.fields.isEmpty ? "" : ", ")\(refusal.fields)}")
    let error = #expect(throws: InvalidInput.self) { try RouterSpecification(value) }
    #expect(error?.description.hasPrefix(refusal.message) == true, "\(error?.description ?? "")")
  }

  private func value(_ text: String) throws -> JSONValue {
    let head = "\"schema\": \"routegrad.router-spec/1\", \"name\": \"r\", \"experts\": 4"
    return try JSONParser.parse(Array(text.replacing("SCHEMA", with: head).utf8))
  }
}
