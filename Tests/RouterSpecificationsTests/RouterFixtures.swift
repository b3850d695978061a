import FileFormats
import RouterSpecifications
import RoutingCore
import RoutingReports
import _TestSupport

/// A specification, a call, and what a router that is as specified answers, by another program.
struct RouterFixture: Sendable {
  var specification: RouterSpecification
  var call: RouterCall
  var answer: RouterAnswer
  /// The specification as it is written.
  var text: JSONValue

  /// What PyTorch's autograd says in Float64 (Fixtures/generators/router_specifications.py).
  static let autograd: [RouterFixture] = {
    guard let bytes = try? Fixtures.bytes("routers/autograd.jsonl") else { return [] }
    return bytes.split(separator: 0x0A).compactMap { try? RouterFixture(Array($0)) }
  }()

  init(_ line: [UInt8]) throws {
    let fields = try JSONFields(try JSONParser.parse(line), of: "a fixture", only: ["spec", "call", "answer"])
    text = try fields.value("spec", "a specification")
    specification = try RouterSpecification(text)
    call = try RouterCall(try fields.value("call", "a call"))
    answer = try RouterAnswer(try fields.value("answer", "an answer"))
  }
}
