import CRouteGrad
import RouteGrad
import Testing
import _TestSupport

/// Bias and variance of samples and outcomes through C.
struct AssessorTests {
  private func assessor(
    _ problem: CProblem, target: String = "expected-loss", drawsOf estimator: String? = nil
  ) throws -> OpaquePointer {
    var assessor: OpaquePointer?
    guard let estimator else {
      try require(rg_assessor_create(problem.handle, target, nil, &assessor))
      return try #require(assessor)
    }
    try estimator.withCString { name in
      var options = rg_assessor_options(
        size: MemoryLayout<rg_assessor_options>.size, draws: 1, confidence: 0.95, seed: 0, threads: 1, draws_of: name)
      try require(rg_assessor_create(problem.handle, target, &options, &assessor))
    }
    return try #require(assessor)
  }

  private func feed(_ assessor: OpaquePointer, _ gradients: [Double], probabilities: [Double]? = nil) throws {
    try gradients.withUnsafeBufferPointer { gradients in
      try (probabilities ?? []).withUnsafeBufferPointer { shares in
        var samples = rg_samples(
          size: MemoryLayout<rg_samples>.size, count: gradients.count / 3, experts: 3, gradient: gradients.baseAddress,
          choice: nil, choice_width: 0, coins: nil, coins_width: 0,
          probability: probabilities == nil ? nil : shares.baseAddress)
        try require(rg_assessor_feed(assessor, &samples))
      }
    }
  }

  private func report(_ assessor: OpaquePointer, beside: String? = nil) throws -> (json: DecodedJSON, text: String) {
    var report: OpaquePointer?
    try require(rg_assessor_report(assessor, beside, &report))
    defer { rg_report_destroy(report) }
    return (
      try DecodedJSON(String(cString: try #require(rg_report_json(report)))),
      String(cString: try #require(rg_report_text(report)))
    )
  }

  /// Outcomes give what `rg_assess` gives of the estimator, whose draws may have an expected loss of their own.
  @Test(arguments: ["conventional", "sparsemixer", "reinmax", "simple:k=2", "sparsemixer-v2-top2"])
  func outcomesAreExact(specification: String) throws {
    let problem = try CProblem(json: Samples.mixture)
    let estimator = try CEstimator(specification)
    var list: OpaquePointer?
    try require(rg_outcomes_create(problem.handle, estimator.handle, &list))
    var shape = rg_outcomes_shape()
    try require(rg_outcomes_describe(list, &shape))
    var probabilities = [Double](repeating: 0, count: shape.count)
    var gradients = [Double](repeating: 0, count: shape.count * 3)
    try require(rg_outcomes_get(list, 0, shape.count, &probabilities, nil, nil, nil, &gradients))
    rg_outcomes_destroy(list)
    var known = rg_assessment()
    try require(
      rg_assess(problem.handle, estimator.handle, "expected-loss", nil, nil, nil, nil, nil, nil, 3, nil, &known))
    let assessor = try assessor(problem, drawsOf: specification)
    defer { rg_assessor_destroy(assessor) }
    try feed(assessor, gradients, probabilities: probabilities)
    let (json, text) = try report(assessor, beside: specification)
    #expect(json["schema"].string == "routegrad.assessment/1" && json["samples"]["intervals"] == .null)
    #expect(abs(try #require(json["samples"]["biasNorm"].number) - known.bias_norm) <= 1e-14)
    #expect(abs(try #require(json["samples"]["meanSquaredError"].number) - known.mean_squared_error) <= 1e-14)
    #expect(json["estimators"].items.count == 1 && text.contains("outcomes"))
  }

  /// Pieces change nothing, and more may be added after a report.
  @Test func samplesInPieces() throws {
    let problem = try CProblem(json: Samples.mixture)
    var gradients = [Double](repeating: 0, count: 3000)
    try require(rg_sample(problem.handle, try CEstimator("sparsemixer").handle, 3, 1, 1000, &gradients, 3))
    let (whole, pieces) = (try assessor(problem), try assessor(problem))
    defer { for handle in [whole, pieces] { rg_assessor_destroy(handle) } }
    try feed(whole, gradients)
    try feed(pieces, Array(gradients[..<300]))
    #expect(try report(pieces).json["samples"]["count"].number == 100)
    try feed(pieces, Array(gradients[300...]))
    #expect(try report(whole).json == report(pieces).json)
  }

  @Test func refusals() throws {
    let problem = try CProblem(json: Samples.mixture)
    var handle: OpaquePointer?
    expectRefusal(rg_assessor_create(nil, "expected-loss", nil, &handle), RG_INVALID_ARGUMENT, "problem")
    expectRefusal(rg_assessor_create(problem.handle, "loss", nil, &handle), RG_INVALID_ARGUMENT, "target")
    expectRefusal(rg_assessor_create(problem.handle, "expected-loss", nil, nil), RG_INVALID_ARGUMENT, "assessor")
    func refused(_ part: String, _ change: (inout rg_assessor_options) -> Void) {
      var options = rg_assessor_options(
        size: MemoryLayout<rg_assessor_options>.size, draws: 1, confidence: 0.95, seed: 0, threads: 1, draws_of: nil)
      change(&options)
      expectRefusal(rg_assessor_create(problem.handle, "expected-loss", &options, &handle), RG_INVALID_ARGUMENT, part)
    }
    refused("options.size") { $0.size = 1 }
    refused("options.draws") { $0.draws = 3 }
    refused("options.draws") { $0.draws = -1 }
    "simple:k=9999999".withCString { name in refused("options.draws_of") { $0.draws_of = name } }
    "simple:k=2".withCString { name in
      refused("says the same") { (options) in
        options.draws_of = name
        options.draws = 2
      }
    }
    refused("options.confidence") { $0.confidence = .nan }
    refused("options.threads") { $0.threads = 0 }
    #expect(handle == nil)
    let assessor = try assessor(problem)
    var report: OpaquePointer?
    expectRefusal(rg_assessor_report(assessor, nil, &report), RG_INVALID_DATA, "at least 2 samples, got 0")
    expectRefusal(rg_assessor_feed(assessor, nil), RG_INVALID_ARGUMENT, "samples")
    try feed(assessor, [1, 2, 3, 4, 5, 6])
    #expect(throws: CFailure.self) { try feed(assessor, [1, 2, 3], probabilities: [1]) }
    #expect(throws: CFailure.self) { try feed(assessor, [.infinity, 2, 3]) }
    expectRefusal(rg_assessor_report(assessor, "reinmx", &report), RG_INVALID_ARGUMENT, "did you mean")
    expectRefusal(rg_assessor_report(assessor, nil, nil), RG_INVALID_ARGUMENT, "report")
    try feed(assessor, [1e200, 2, 3])
    expectRefusal(rg_assessor_report(assessor, nil, &report), RG_OVERFLOW, "overflows")
    let outcomes = try self.assessor(problem)
    try feed(outcomes, [1, 2, 3], probabilities: [0.5])
    expectRefusal(rg_assessor_report(outcomes, nil, &report), RG_INVALID_DATA, "sum to 1, got 0.5")
    for handle in [assessor, outcomes] { rg_assessor_destroy(handle) }
    expectRefusal(rg_assessor_feed(assessor, nil), RG_INVALID_ARGUMENT, "destroyed")
  }
}
