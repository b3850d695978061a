import RouterSpecifications
import RoutingCore
import RoutingReports
import RoutingVerification
import Testing

/// Golden vectors as files, and the answers to them.
@Suite struct VectorFileTests {
  static let specification = RouterSpecification(
    name: "small", experts: 8, score: .init(.sigmoid), hasSelectionBias: true,
    groups: .init(count: 4, kept: 2, score: .sumOfTwo), selection: .topK(2),
    gate: .init(.score, isNormalized: true, scale: 2.5))
  static let vectors = try? GoldenVectors(of: specification, pool: 64)
  static let text = vectors?.jsonLines ?? ""

  private func file() throws -> VectorFile { try VectorFile(Array(Self.text.utf8), file: "vectors.jsonl") }

  /// What a router with a mistake answers, as lines.
  private func lines(_ mistake: RouterMistake? = nil) throws -> [String] {
    let file = try file()
    return try file.vectors.enumerated().map { k, vector in
      let answer = try #require(RouterReference(Self.specification, mistake: mistake).answer(to: vector.call))
      return answer.line(number: k + 1)
    }
  }

  private func verdict(_ lines: [String]) throws -> AnswersVerdict {
    let file = try file()
    let answers = try file.answers(Array(lines.joined(separator: "\n").utf8), file: "answers.jsonl")
    return AnswersVerdict(of: answers, to: file.vectors, of: file.specification, tolerance: file.tolerance)
  }

  @Test func readsBackToTheLastBit() throws {
    let vectors = try #require(Self.vectors)
    let file = try file()
    #expect(file.specification == Self.specification)
    #expect(file.vectors == vectors.vectors)
    #expect(file.tolerance == GoldenVectors.tolerance)
    #expect(try GoldenVectors(of: Self.specification, pool: 64).jsonLines == Self.text, "the same seed, the same bytes")
    #expect(try GoldenVectors(of: Self.specification, seed: 1, pool: 64).jsonLines != Self.text)
  }

  @Test func soundAnswersAreProved() throws {
    let result = try verdict(lines().reversed())
    #expect(result.verdict == .proved)
    #expect(result.mistakes.isEmpty)
  }

  @Test(arguments: vectors?.told ?? [])
  func mistakesAreRefutedAndNamed(_ mistake: RouterMistake) throws {
    let result = try verdict(lines(mistake))
    #expect(result.verdict == .refuted)
    #expect(result.mistakes.contains(mistake), "\(result.mistakes)")
  }

  @Test func whatIsNotAnsweredIsUndecided() throws {
    let few = try verdict(Array(lines().dropLast()))
    #expect(few.verdict == .undecided)
    #expect(few.findings.last?.detail == "no answer")
    #expect(few.findings.dropLast().allSatisfy { $0.verdict == .proved })
    let forward = try lines().map { $0.replacing(/"gradient": \[\[.*?\]\]/, with: "\"gradient\": null") }
    #expect(try verdict(forward).findings.allSatisfy { $0.detail == "not answered: gradient" })
    #expect(try verdict([]).verdict == .undecided)
  }

  @Test func expertsThatDoNotExistAreRefuted() throws {
    let strangers = try lines().map { $0.replacing(/"choice": \[\[\d+/, with: "\"choice\": [[8") }
    let result = try verdict(strangers)
    #expect(result.verdict == .refuted)
    #expect(result.findings[0].detail == "token 0 goes to expert 8, of 0 to 7")
  }

  @Test(arguments: [
    ("{\"call\": 9}", "answers.jsonl: line 1: call: expected one of the calls 1 to "),
    ("{\"choice\": []}", "answers.jsonl: line 1: call: expected a number, the field is missing"),
    ("\n{\"call\": 1", "answers.jsonl: line 2: expected "),
    ("{\"call\": 1, \"choice\": [[0]], \"multipliers\": [[]]}", "answers.jsonl: line 1: "),
    ("{\"call\": 1, \"choice\": \"none\", \"multipliers\": [[]]}", "answers.jsonl: line 1: choice: expected "),
    (
      "{\"call\": 1, \"choice\": [], \"multipliers\": [], \"gates\": []}",
      "answers.jsonl: line 1: gates: expected no such field"
    ),
  ])
  func refusesWhatIsNoAnswer(_ text: String, _ message: String) throws {
    let error = #expect(throws: Refusal.self) {
      try file().answers(Array(text.utf8), file: "answers.jsonl")
    }
    #expect(error?.description.hasPrefix(message) == true, "\(error?.description ?? "")")
  }

  @Test(arguments: [
    ("", "", "v: line 1: expected the header of vectors, got the end of the file"),
    ("\"experts\": 8", "\"experts\": 9", "v: line 1: specification.groups.count: expected a divisor of 9"),
    ("routegrad.vectors/1", "routegrad.vectors/2", "v: line 1: schema: expected \"routegrad.vectors/1\""),
    ("{\"call\": 1", "{\"call\": 2", "v: line 2: call: expected 1, got 2"),
    ("\"mode\": \"train\"", "\"mode\": \"test\"", "v: line 2: mode: expected \"train\" or \"eval\""),
    ("\"bias\": [", "\"bias\": [0, ", "v: line 2: bias: expected 8 entries, got 9"),
    ("\"upstream\": [[", "\"upstream\": [[1, ", "v: line 2: upstream[1]: expected 4 entries, got 3"),
    ("\"choice\": [[", "\"choice\": [[1, ", "v: line 2: expected: "),
    ("\"tells\": [\"", "\"tells\": [\"no", "v: line 2: tells[0]: expected the name of a mistake, got a string"),
  ])
  func refusesWhatIsNoVector(_ found: String, _ other: String, _ message: String) throws {
    let text = found.isEmpty ? "" : Self.text.replacing(found, with: other, maxReplacements: 1)
    let error = #expect(throws: Refusal.self) { try VectorFile(Array(text.utf8), file: "v") }
    #expect(error?.description.hasPrefix(message) == true, "\(error?.description ?? "")")
  }

  @Test func forwardVectorsLeaveGradientsOut() throws {
    let vectors = try GoldenVectors(of: Self.specification, forwardOnly: true, pool: 64)
    #expect(vectors.vectors.allSatisfy { $0.expected.gradient == nil && $0.expected.output != nil })
    #expect(vectors.same.contains(.gateDetached) && vectors.told.contains(.biasInGate))
    #expect(vectors.missed.isEmpty)
  }

  @Test func reportsFitTheTerminal() throws {
    let report = AnswersReport(try verdict(lines(.maskedGroupsAtZero)))
    let text = report.text(style: TextStyle())
    #expect(text.split(separator: "\n").allSatisfy { $0.count <= 80 })
    #expect(text.contains("masked-groups-at-zero"))
    #expect(report.json.contains("\"schema\": \"routegrad.answers/1\""))
  }
}
