import CRouteGrad
import RouteGrad
import Testing
import _TestSupport

/// Verdicts through C: on samples, on outcomes, on routers.
struct VerdictTests {
  private func criteria(_ change: (inout rg_criteria) -> Void = { _ in }) -> rg_criteria {
    var criteria = rg_criteria(
      size: MemoryLayout<rg_criteria>.size, false_fail_rate: 1e-6, false_pass_rate: 1e-3, detectable_bias: 0.05,
      tolerance: 1e-5, lower: 0, upper: 0, max_samples: 0)
    change(&criteria)
    return criteria
  }

  private func test(_ estimator: String?, target: String? = nil, _ criteria: rg_criteria? = nil) throws -> OpaquePointer
  {
    let problem = try CProblem(json: Samples.mixture)
    var test: OpaquePointer?
    let handle = try estimator.map { try CEstimator($0).handle }
    if var criteria {
      try require(rg_test_create(problem.handle, handle, target, &criteria, &test))
    } else {
      try require(rg_test_create(problem.handle, handle, target, nil, &test))
    }
    return try #require(test)
  }

  /// Feeds samples; whether more are wanted.
  private func feed(
    _ test: OpaquePointer, _ gradients: [Double], choices: [Int64]? = nil, probabilities: [Double]? = nil,
    experts: Int = 3
  ) throws -> Bool {
    var more: Int32 = -1
    try gradients.withUnsafeBufferPointer { gradients in
      try (choices ?? []).withUnsafeBufferPointer { list in
        try (probabilities ?? []).withUnsafeBufferPointer { shares in
          var samples = rg_samples(
            size: MemoryLayout<rg_samples>.size, count: gradients.count / 3, experts: experts,
            gradient: gradients.baseAddress, choice: choices == nil ? nil : list.baseAddress, choice_width: 1,
            coins: nil,
            coins_width: 0, probability: probabilities == nil ? nil : shares.baseAddress)
          try require(rg_test_feed(test, &samples, &more))
        }
      }
    }
    return more == 1
  }

  private func verdict(_ test: OpaquePointer) throws -> (verdict: rg_verdict, report: DecodedJSON, text: String) {
    var verdict = RG_PROVED
    var report: OpaquePointer?
    try require(rg_test_verdict(test, &verdict, &report))
    defer { rg_report_destroy(report) }
    let json = String(cString: try #require(rg_report_json(report)))
    return (verdict, try DecodedJSON(json), String(cString: try #require(rg_report_text(report))))
  }

  private func samples(_ specification: String, _ count: Int) throws -> [Double] {
    var gradients = [Double](repeating: 0, count: count * 3)
    let (problem, estimator) = (try CProblem(json: Samples.mixture), try CEstimator(specification))
    try require(rg_sample(problem.handle, estimator.handle, 3, 1, count, &gradients, 3))
    return gradients
  }

  @Test func whatIsRightIsConsistentAndWhatIsWrongRefuted() throws {
    let gradients = try samples("conventional", 40_000)
    for (estimator, expected) in [("conventional", RG_CONSISTENT), ("sparsemixer", RG_REFUTED)] {
      let test = try test(estimator)
      defer { rg_test_destroy(test) }
      var start = 0
      // In pieces of uneven size: the verdict does not depend on them.
      for size in [1, 2, 3001, 40_000 - 3004] where try feed(test, Array(gradients[start * 3..<(start + size) * 3])) {
        start += size
      }
      let (found, report, text) = try verdict(test)
      #expect(found == expected)
      #expect(report["schema"].string == "routegrad.verdict/1")
      #expect(text.hasPrefix(expected == RG_REFUTED ? "refuted: " : "consistent: "))
      #expect(try verdict(test).verdict == found, "a verdict may be asked for again")
      #expect(throws: CFailure.self) { try feed(test, [0, 0, 0]) }
      expectRefusal(rg_test_feed(test, nil, nil), RG_INVALID_ARGUMENT, "samples")
    }
  }

  @Test func targetsAndBudgets() throws {
    let gradients = try samples("reinforce", 500)
    let bounds = criteria { ($0.lower, $0.upper, $0.max_samples) = (-10, 10, 100) }
    let test = try test(nil, target: "expected-loss", bounds)
    #expect(try feed(test, gradients) == false, "after 100 samples it gives up")
    let (found, report, _) = try verdict(test)
    #expect(found == RG_UNDECIDED)
    #expect(report["samples"]["count"].number == 100)
    rg_test_destroy(test)
  }

  @Test func outcomesAreProved() throws {
    let problem = try CProblem(json: Samples.mixture)
    var list: OpaquePointer?
    try require(rg_outcomes_create(problem.handle, try CEstimator("conventional").handle, &list))
    var probabilities = [Double](repeating: 0, count: 3)
    var choices = [Int64](repeating: 0, count: 3)
    var gradients = [Double](repeating: 0, count: 9)
    try require(rg_outcomes_get(list, 0, 3, &probabilities, &choices, nil, nil, &gradients))
    rg_outcomes_destroy(list)
    let sound = try test("conventional")
    #expect(try feed(sound, gradients, choices: choices, probabilities: probabilities))
    #expect(try verdict(sound).verdict == RG_PROVED)
    let doubled = try test("conventional")
    #expect(try feed(doubled, gradients.map { 2 * $0 }, choices: choices, probabilities: probabilities))
    let (found, report, _) = try verdict(doubled)
    #expect(found == RG_REFUTED)
    #expect(report["counterExample"]["kind"].string == "gradient")
  }

  @Test func refusals() throws {
    let problem = try CProblem(json: Samples.mixture)
    let estimator = try CEstimator("conventional").handle
    var handle: OpaquePointer?
    func refused(_ part: String, _ change: @escaping (inout rg_criteria) -> Void) {
      var criteria = criteria(change)
      expectRefusal(rg_test_create(problem.handle, estimator, nil, &criteria, &handle), RG_INVALID_ARGUMENT, part)
      #expect(handle == nil)
    }
    refused("criteria.size") { $0.size = 3 }
    refused("false_fail_rate") { $0.false_fail_rate = 0.6 }
    refused("false_pass_rate") { $0.false_pass_rate = .nan }
    refused("criteria.detectable_bias") { $0.detectable_bias = 0 }
    refused("criteria.tolerance") { $0.tolerance = 1 }
    refused("not above the tolerance") { ($0.tolerance, $0.detectable_bias) = (0.5, 1e-9) }
    expectRefusal(rg_test_create(problem.handle, nil, nil, nil, &handle), RG_INVALID_ARGUMENT, "got none")
    expectRefusal(
      rg_test_create(problem.handle, estimator, "expected-loss", nil, &handle), RG_INVALID_ARGUMENT, "got both")
    expectRefusal(
      rg_test_create(problem.handle, nil, "expected-loss", nil, &handle), RG_INVALID_ARGUMENT, "criteria.lower")
    expectRefusal(rg_test_verdict(nil, nil, nil), RG_INVALID_ARGUMENT, "test")

    let test = try test("conventional")
    expectRefusal(rg_test_verdict(test, nil, nil), RG_INVALID_DATA, "got none")
    for (gradients, experts, part) in [
      ([0, .nan, 0], 3, "gradient[0][1]: expected a finite number, got nan"), ([0, 0, 0], 2, "expected 3"),
    ] {
      do {
        _ = try feed(test, gradients, experts: experts)
        Issue.record("\(part) was taken")
      } catch let failure as CFailure {
        #expect(failure.message.contains(part))
      }
    }
    _ = try feed(test, [0, 0, 0])
    #expect(throws: CFailure.self) { try feed(test, [0, 0, 0], choices: [1]) }
    for _ in 0..<2 { rg_test_destroy(nil) }
  }

  /// A router that is no router; one that is, is driven by Tests/PythonTests.
  @Test func routersThatGiveNoAnswer() {
    let silent: rg_router = { _, _, _, _ in nil }
    let babbling: rg_router = { context, _, _, length in
      length?.pointee = 5
      return UnsafePointer(context?.assumingMemoryBound(to: CChar.self))
    }
    var words: [CChar] = Array("hello".utf8CString)
    expectRefusal(rg_lint(nil, nil, 8, 1, 0, nil, nil), RG_INVALID_ARGUMENT, "router")
    expectRefusal(rg_lint(silent, nil, 1, 1, 0, nil, nil), RG_INVALID_ARGUMENT, "2 to 1024")
    expectRefusal(rg_lint(silent, nil, 4, 5, 0, nil, nil), RG_INVALID_ARGUMENT, "top_k")
    expectRefusal(rg_lint(silent, nil, 4, 1, 0, nil, nil), RG_CALLBACK_FAILED, "the router function failed")
    expectRefusal(rg_lint(babbling, &words, 4, 1, 0, nil, nil), RG_INVALID_DATA, "the router's profile")
    #expect(String(cString: rg_report_text(nil)) == "" && String(cString: rg_report_json(nil)) == "")
    rg_report_destroy(nil)
  }
}
