import RoutingCore
import Testing

@testable import RoutingReports

struct ProblemFileTests {
  private static let mixture = """
    {"schema": "routegrad.problem/1", "kind": "mixture", "logits": [0.3, -1.2, 0.8],
     "expertOutputs": [[0.1, 0.2], [1.0, -0.4], [0.0, 0.3]], "scale": [1.0, 2.0],
     "loss": {"type": "log-cosh", "scales": [1.0, 2.0], "targets": [0.5, -0.5]}}
    """
  private static let categorical = """
    {"schema": "routegrad.problem/1", "name": "c", "kind": "categorical", "logits": [0.3, -1.2],
     "objective": {"type": "separable-power", "exponent": 3.0, "targets": [0.45, 0.45]}}
    """

  private func problems(_ text: String) throws -> [FiledProblem] {
    try ProblemFile.problems(of: Array(text.utf8), file: "f.json")
  }

  private func refusal(_ text: String) -> String? {
    do {
      _ = try problems(text)
      return nil
    } catch {
      return "\(error)"
    }
  }

  @Test func readsAMixture() throws {
    let filed = try #require(try problems(Self.mixture).first)
    guard case .mixture(let problem) = filed.problem, case .loss(let loss) = problem.source else {
      Issue.record("no mixture")
      return
    }
    #expect(problem.logits == [0.3, -1.2, 0.8])
    #expect(problem.directions?.asRows == [[0.1, 0.4], [1.0, -0.8], [0, 0.6]])
    #expect((loss as? LogCosh)?.targets == [0.5, -0.5])
    #expect(problem.name == nil)
    #expect(filed.location == "f.json")
  }

  @Test func readsSeveralProblems() throws {
    let filed = try problems(
      #"{"schema": "routegrad.problems/1", "problems": [\#(Self.mixture), \#(Self.categorical)]}"#)
    #expect(filed.map(\.place) == ["problems[0]", "problems[1]"])
    #expect(filed.map { $0.problem.kind } == [.mixture, .categorical])
    #expect(filed.map(\.location) == ["f.json: problems[0]", "f.json: problems[1] (c)"])
    let bare = Self.categorical.replacing(#""schema": "routegrad.problem/1", "#, with: "")
    #expect(try problems(#"{"schema": "routegrad.problems/1", "problems": [\#(bare), \#(bare)]}"#).count == 2)
  }

  /// Each type, and what its function is at (0.5, −2).
  @Test(arguments: [
    (#"{"type": "linear", "coefficients": [3, 1]}"#, -0.5),
    (#"{"type": "quadratic", "matrix": [[2, 1], [1, 4]], "linear": [1, 1]}"#, 5.75),
    (#"{"type": "quadratic", "matrix": [[2, 5], [-3, 4]], "linear": [1, 1]}"#, 5.75),
    (#"{"type": "separable-power", "exponent": 2, "targets": [0, 0], "weights": [4, 0.5]}"#, 3),
    (#"{"type": "separable-power", "exponent": 2, "targets": [0, 0]}"#, 4.25),
    (#"{"type": "log-cosh", "scales": [1, 0], "targets": [0.5, 0]}"#, 0),
    (
      #"{"type": "softmax-cross-entropy", "weights": [[4, 1], [0, 0]], "biases": [0, 0], "label": 1}"#,
      0.6931471805599453
    ),
    (
      #"{"type": "softmax-cross-entropy", "weights": [[4, 1], [0, 0]], "biases": [0, 0], "label": 1.0}"#,
      0.6931471805599453
    ),
    (#"{"type": "polynomial", "coefficients": [1, 2, 3], "direction": [2, 1]}"#, 2),
  ])
  func readsEveryType(json: String, value: Double) throws {
    let text =
      #"{"schema": "routegrad.problem/1", "kind": "categorical", "logits": [1, 2], "objective": \#(json)}"#
    guard case .categorical(let problem) = try #require(try problems(text).first).problem,
      case .objective(let objective) = problem.source
    else {
      Issue.record("no categorical problem")
      return
    }
    #expect(objective.value(at: [0.5, -2]) == value)
    let mixture =
      #"{"schema": "routegrad.problem/1", "kind": "mixture", "logits": [1], "expertOutputs": [[1, 2]], "loss": \#(json)}"#
    #expect(try problems(mixture).count == 1)
  }

  @Test func readsTables() throws {
    let categorical = """
      {"schema": "routegrad.problem/1", "kind": "categorical", "logits": [0, 1],
       "objective": {"type": "tabulated", "values": [1, 2], "gradients": [[1, 2], [3, 4]]}}
      """
    guard case .categorical(let problem) = try #require(try problems(categorical).first).problem,
      case .table(let values, let gradients) = problem.source
    else {
      Issue.record("no table")
      return
    }
    #expect(values == [1, 2])
    #expect(gradients == [[1, 2], [3, 4]])
    let mixture = Self.tabulated(mask: #"{"rule": "reference-code", "threshold": 0.25}"#)
    #expect(try #require(try problems(mixture).first).problem.fixedMask == .referenceCode(threshold: 0.25))
    for mask in [#"{"rule": "none", "threshold": null}"#, #"{"rule": "none"}"#] {
      #expect(
        try #require(try problems(Self.tabulated(mask: mask)).first).problem.fixedMask == Mask.none)
    }
  }

  private static func tabulated(mask: String) -> String {
    """
    {"schema": "routegrad.problem/1", "kind": "mixture", "logits": [0, 1],
     "loss": {"type": "tabulated", "nodes": [1, 0.5], "values": [[1, 2], [3, 4]], "slopes": [[1, 2], [3, 4]],
      "valueAtZero": 0.5, "mask": \(mask)}}
    """
  }

  @Test(arguments: [
    (
      #"{"rule": "none", "threshold": 0.1}"#,
      #"loss.mask.threshold: expected null with the rule "none", got a number"#
    ),
    (#"{"rule": "paper"}"#, "loss.mask.threshold: expected a number, the field is missing"),
    (
      #"{"rule": "paper", "threshold": -1}"#, "loss.mask.threshold: expected a number of at least 0, got -1.0"
    ),
    (
      #"{"rule": "papr", "threshold": 1}"#,
      #"loss.mask.rule: expected one of "none", "paper", "reference-code", got "papr""#
    ),
    ("[]", "loss.mask: expected a mask (an object), got a list"),
  ])
  func refusesMasks(mask: String, reason: String) {
    #expect(refusal(Self.tabulated(mask: mask)) == "f.json: \(reason)")
  }

  /// In the mixture, what is replaced by what, and what is said to that.
  @Test(arguments: [
    (#""kind": "mixture", "#, "", #"kind: expected "categorical" or "mixture", the field is missing"#),
    (#""mixture""#, #""mixtre""#, #"kind: expected "categorical" or "mixture", got "mixtre""#),
    (#""mixture""#, "3", #"kind: expected "categorical" or "mixture", got a number"#),
    (
      "problem/1", "problem/2",
      #"schema: expected "routegrad.problem/1" or "routegrad.problems/1", got "routegrad.problem/2""#
    ),
    (
      #""kind""#, #""extra": 1, "kind""#,
      "extra: expected no such field; a mixture problem has schema, name, kind, logits, expertOutputs, scale, "
        + "defaultOutputs, router, loss"
    ),
    (#""kind""#, #""name": null, "kind""#, "name: expected a string, got null"),
    (
      #""kind""#, #""kind": "mixture", "kind""#,
      "kind: expected each field once, got it twice (line 1, column 54)"
    ),
    ("[0.3, -1.2, 0.8]", "[]", "logits: expected at least one number, got none"),
    (
      "[0.3, -1.2, 0.8]", "[0.3, NaN, 0.8]",
      "logits[1]: expected a finite number, got NaN (line 1, column 70)"
    ),
    (
      "[0.3, -1.2, 0.8]", "[0.3, 1e999]", "logits[1]: expected a finite number, got 1e999 (line 1, column 70)"
    ),
    ("[0.3, -1.2, 0.8]", #"[0.3, "1", 0.8]"#, "logits[1]: expected a number, got a string"),
    ("[0.3, -1.2, 0.8]", "[0.3, [1]]", "logits[1]: expected a number, got a list"),
    ("[0.3, -1.2, 0.8]", "[0.3, null]", "logits[1]: expected a number, got null"),
    ("[0.3, -1.2, 0.8]", "{}", "logits: expected a list of numbers, got an object"),
    ("[0.3, -1.2, 0.8]", "[0.3, 1]", "expertOutputs: expected 2 rows, got 3"),
    (", [0.0, 0.3]", ", [0.0]", "expertOutputs[2]: expected 2 numbers, got 1"),
    (", [0.0, 0.3]", ", [0.0, true]", "expertOutputs[2][1]: expected a number, got true"),
    (", [0.0, 0.3]", ", 5", "expertOutputs[2]: expected a list of numbers, got a number"),
    (
      "[[0.1, 0.2], [1.0, -0.4], [0.0, 0.3]]", "[1, 2, 3]",
      "expertOutputs[0]: expected a list of numbers, got a number"
    ),
    (
      "[[0.1, 0.2], [1.0, -0.4], [0.0, 0.3]]", "7",
      "expertOutputs: expected a list of lists of numbers, got a number"
    ),
    (#""scale": [1.0, 2.0]"#, #""scale": [1.0]"#, "scale: expected 2 numbers, got 1"),
    (#""scale": [1.0, 2.0]"#, #""defaultOutputs": [[1, 2]]"#, "defaultOutputs: expected 3 rows, got 1"),
    (
      #""scale": [1.0, 2.0]"#, #""objective": {}"#, "objective: expected no such field; a mixture problem has"
    ),
    (#"{"type": "log-cosh""#, #"{"type": "log-cos""#, #"loss.type: expected one of "linear", "quadratic", "#),
    (#"{"type": "log-cosh", "#, "{", #"loss.type: expected one of "linear", "quadratic", "#),
    (#""targets": [0.5, -0.5]"#, #""targets": [0.5]"#, "loss.targets: expected 2 numbers, got 1"),
    (#", "targets": [0.5, -0.5]"#, "", "loss.targets: expected a list of numbers, the field is missing"),
    (
      #""targets""#, #""weights": [1, 1], "targets""#,
      #"loss.weights: expected no such field; "log-cosh" has type, scales, targets"#
    ),
    (
      #""type": "log-cosh", "scales": [1.0, 2.0]"#, #""type": "separable-power", "exponent": 1"#,
      "loss.exponent: expected a finite number above 1, got 1.0"
    ),
  ])
  func refusesFields(old: String, new: String, reason: String) throws {
    let text = Self.mixture.replacing(old, with: new, maxReplacements: 1)
    #expect(text != Self.mixture)
    let said = try #require(refusal(text))
    #expect(said.hasPrefix("f.json: \(reason)"), "\(said)")
    let several = #"{"schema": "routegrad.problems/1", "problems": [\#(Self.mixture), \#(text)]}"#
    #expect(refusal(several)?.contains("problems[1]") == true)
  }

  @Test(arguments: [
    ("1.5", "a whole number, got 1.5"), ("2", "a class from 0 to 1, got 2"), ("true", "a number, got true"),
  ])
  func refusesLabels(label: String, reason: String) {
    let text = """
      {"schema": "routegrad.problem/1", "kind": "categorical", "logits": [0], "objective":
       {"type": "softmax-cross-entropy", "weights": [[1], [2]], "biases": [0, 0], "label": \(label)}}
      """
    #expect(refusal(text) == "f.json: objective.label: expected \(reason)")
  }

  @Test(arguments: [
    ("[]", "problems: expected at least one problem, got none"),
    ("[3]", "problems[0]: expected a problem (an object), got a number"),
    ("{}", "problems: expected a list of problems, got an object"),
    ("[[]]", "problems[0]: expected a problem (an object), got a list"),
    (#"[{"schema": "x"}]"#, #"problems[0].schema: expected "routegrad.problem/1", got "x""#),
  ])
  func refusesLists(list: String, reason: String) {
    #expect(refusal(#"{"schema": "routegrad.problems/1", "problems": \#(list)}"#) == "f.json: \(reason)")
    #expect(
      refusal(#"{"schema": "routegrad.problems/1", "problems": \#(list), "x": 1}"#)
        == "f.json: x: expected no such field; a problem file has schema, problems")
  }

  @Test(arguments: ["null", "3", "\"x\"", "[1]"])
  func refusesOtherRoots(text: String) throws {
    #expect(try #require(refusal(text)).hasPrefix("f.json: expected a problem file (an object), got "))
  }

  @Test func everyShippedProblemDecodes() throws {
    let all = try ShippedProblems.all()
    #expect(all.count == 42)
    #expect(Set(all.compactMap { $0.problem.name }).count == all.count)
    #expect(try ShippedProblems.smooth().count == 3)
  }
}
