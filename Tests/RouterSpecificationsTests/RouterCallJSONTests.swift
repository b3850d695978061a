import FileFormats
import RouterSpecifications
import RoutingCore
import Testing
import _TestSupport

@testable import RoutingReports

/// Calls and answers as lines: exact both ways.
@Suite struct RouterCallJSONTests {
  @Test(arguments: RouterFixture.autograd)
  func readsBackWhatItWrites(_ fixture: RouterFixture) throws {
    let call = JSONWriter.line(fixture.call.json(number: 7))
    #expect(try RouterCall(try JSONParser.parse(Array(call.utf8))) == fixture.call)
    let answer = JSONWriter.line(fixture.answer.json(number: 7))
    #expect(try RouterAnswer(try JSONParser.parse(Array(answer.utf8))) == fixture.answer)
  }

  @Test(arguments: [
    (
      "\"choice\": [[0.5]]", "choice[0][0]: expected an expert's index, got 0.5"
    ),
    ("\"sequences\": [0, 1.5]", "sequences[1]: expected the number of a sequence, got 1.5"),
    ("\"globalTokens\": \"8\"", "globalTokens: expected a number, got a string"),
    (
      "\"functions\": [{\"inner\": [[1]], \"outer\": [[1]]}]",
      "functions[0].offset: expected a list of numbers, the field is missing"
    ),
    ("\"biases\": [1]", "biases: expected no such field; a call has call, mode, "),
  ])
  func refusesWhatItDoesNotKnow(_ field: String, _ message: String) throws {
    let text = """
      {"mode": "train", "logits": [[1, null]], "expertOutputs": [[[1], [2]]], "upstream": [[1]], \(field)}
      """
    let error = #expect(throws: InvalidInput.self) { try RouterCall(try JSONParser.parse(Array(text.utf8))) }
    #expect(error?.description.hasPrefix(message) == true, "\(error?.description ?? "")")
  }
}
