import CRouteGrad
import Testing
import _TestSupport

struct ProblemTests {
  private static let loss = #"{"type": "log-cosh", "scales": [1.0, 2.0], "targets": [0.5, -0.5]}"#

  @Test func arraysAreTheFile() throws {
    let filed = try CProblem(json: Samples.mixture)
    let arrays = try MixtureArrays().lend { mixture in
      var mixture = mixture
      return try CProblem { rg_mixture_with_loss(&mixture, Self.loss, Self.loss.utf8.count, $0) }
    }
    for specification in ["sparsemixer", "default-moe", "dense-backward"] {
      let estimator = try CEstimator(specification)
      #expect(try arrays.moments(estimator).covariance == filed.moments(estimator).covariance)
      #expect(try arrays.moments(estimator).mean == filed.moments(estimator).mean)
    }
    #expect(String(cString: rg_problem_kind(arrays.handle)) == "mixture")
    var probabilities = [Double](repeating: 0, count: 3)
    try require(rg_problem_probabilities(arrays.handle, &probabilities, 3))
    #expect((probabilities.reduce(0, +) - 1).magnitude < 1e-15)
  }

  @Test func severalFromOneText() throws {
    let text = #"{"schema": "routegrad.problems/1", "problems": [\#(Samples.mixture), \#(Samples.categorical)]}"#
    var count = 0
    expectRefusal(rg_problems_from_json(text, text.utf8.count, nil, 0, &count), RG_BUFFER_TOO_SMALL, "room for 2")
    #expect(count == 2)
    var handles = [OpaquePointer?](repeating: nil, count: 2)
    try require(rg_problems_from_json(text, text.utf8.count, &handles, 2, &count))
    #expect(handles.map { String(cString: rg_problem_kind($0)) } == ["mixture", "categorical"])
    for handle in handles { rg_problem_destroy(handle) }
    var one: OpaquePointer?
    expectRefusal(rg_problem_from_json(text, text.utf8.count, &one), RG_INVALID_DATA, "expected one problem, got 2")
    #expect(one == nil)
  }

  @Test func tablesBringTheirMask() throws {
    let arrays = MixtureArrays()
    let values: [Double] = [1, 2, 3]
    let node: [Double] = [1]
    let problem = try arrays.lend { mixture in
      var mixture = mixture
      mixture.expert_outputs = nil
      return try values.withUnsafeBufferPointer { values in
        try node.withUnsafeBufferPointer { node in
          try "paper".withCString { rule in
            var table = rg_table(
              size: MemoryLayout<rg_table>.size, node_count: 1, nodes: node.baseAddress, values: values.baseAddress,
              slopes: values.baseAddress, value_at_zero: 0, mask_rule: rule, mask_threshold: 0.7)
            return try CProblem { rg_mixture_with_table(&mixture, &table, $0) }
          }
        }
      }
    }
    _ = try problem.moments(try CEstimator("conventional"))
    expectRefusal(
      rg_moments(problem.handle, try CEstimator("midpoint").handle, nil, nil, nil, nil, 3, nil), RG_UNAVAILABLE,
      "needs the slope at 0.5")
    var other: OpaquePointer?
    expectRefusal(rg_problem_masked(problem.handle, "none", 0, &other), RG_INVALID_ARGUMENT, "tabulated under")
  }

  @Test func categoricalTables() throws {
    let values: [Double] = [1, 2, 4]
    let gradients = [Double](repeating: 0.5, count: 9)
    let problem = try CProblem { rg_categorical_with_table(values, 3, values, gradients, $0) }
    #expect(try problem.target("expected-loss").reduce(0, +).magnitude < 1e-15)
    expectRefusal(
      rg_target(problem.handle, "dense-mixture", [0, 0, 0].mutable, 3), RG_UNAVAILABLE, "mixture problems only")
  }

  @Test func refusals() throws {
    let arrays = MixtureArrays()
    var problem: OpaquePointer?
    let loss = Self.loss
    func refused(_ status: rg_status, _ part: String, _ change: (inout rg_mixture) -> Void) {
      arrays.lend { mixture in
        var mixture = mixture
        change(&mixture)
        expectRefusal(rg_mixture_with_loss(&mixture, loss, loss.utf8.count, &problem), status, part)
      }
      #expect(problem == nil)
    }
    refused(RG_INVALID_ARGUMENT, "mixture.size") { $0.size = 0 }
    refused(RG_INVALID_ARGUMENT, "logits: expected a pointer") { $0.logits = nil }
    refused(RG_INVALID_ARGUMENT, "expert_outputs: expected a pointer") { $0.expert_outputs = nil }
    refused(RG_INVALID_ARGUMENT, "more than memory can hold") { $0.experts = -1 }
    refused(RG_INVALID_ARGUMENT, "more than memory can hold") { $0.width = Int.max / 2 }
    refused(RG_INVALID_DATA, "at least one number") { $0.experts = 0 }
    refused(RG_INVALID_DATA, "expected 2 numbers, got 1") { $0.width = 1 }
    refused(RG_INVALID_ARGUMENT, "router_weight") { $0.router_width = 2 }
    var infinite = arrays
    infinite.outputs[3] = .infinity
    infinite.lend { mixture in
      var mixture = mixture
      expectRefusal(
        rg_mixture_with_loss(&mixture, loss, loss.utf8.count, &problem), RG_INVALID_DATA, "expertOutputs[1][1]")
      expectRefusal(rg_mixture_with_loss(&mixture, nil, 3, &problem), RG_INVALID_ARGUMENT, "loss")
      expectRefusal(rg_mixture_with_loss(nil, loss, loss.utf8.count, &problem), RG_INVALID_ARGUMENT, "mixture")
      expectRefusal(rg_mixture_with_loss(&mixture, "{]", 2, &problem), RG_INVALID_DATA, "loss")
      expectRefusal(rg_mixture_with_loss(&mixture, loss, loss.utf8.count, nil), RG_INVALID_ARGUMENT, "problem")
      expectRefusal(rg_mixture_with_function(&mixture, nil, nil, &problem), RG_INVALID_ARGUMENT, "function")
      expectRefusal(rg_mixture_with_table(&mixture, nil, &problem), RG_INVALID_ARGUMENT, "table")
    }
    #expect(problem == nil)
  }

  @Test func callsThatAreWrong() throws {
    let problem = try CProblem(json: Samples.mixture)
    let estimator = try CEstimator("midpoint")
    var mean = [Double](repeating: 5, count: 3)
    expectRefusal(rg_moments(nil, estimator.handle, nil, nil, nil, nil, 3, nil), RG_INVALID_ARGUMENT, "problem")
    expectRefusal(rg_moments(problem.handle, nil, nil, nil, nil, nil, 3, nil), RG_INVALID_ARGUMENT, "estimator")
    expectRefusal(
      rg_moments(problem.handle, estimator.handle, nil, &mean, nil, nil, 2, nil), RG_INVALID_ARGUMENT, "expected 3")
    expectRefusal(rg_target(problem.handle, "nothing", &mean, 3), RG_INVALID_ARGUMENT, "expected-loss")
    expectRefusal(rg_target(problem.handle, nil, &mean, 3), RG_INVALID_ARGUMENT, "target")
    expectRefusal(rg_sample(problem.handle, estimator.handle, 0, 0, 1, &mean, 3), RG_INVALID_ARGUMENT, "threads")
    expectRefusal(rg_sample(problem.handle, estimator.handle, 0, 1, -1, &mean, 3), RG_INVALID_ARGUMENT, "memory")
    func refused(_ part: String, _ change: (inout rg_options) -> Void) {
      var options = standardOptions()
      change(&options)
      expectRefusal(
        rg_moments(problem.handle, estimator.handle, &options, &mean, nil, nil, 3, nil), RG_INVALID_ARGUMENT, part)
    }
    refused("options.size") { $0.size = 1 }
    refused("options.tolerance") { $0.tolerance = .nan }
    refused("options.threads") { $0.threads = 0 }
    refused("options.method") { $0.method = RG_METHOD_QUADRATURE }
    refused("options.samples") { ($0.method, $0.samples) = (RG_METHOD_MONTE_CARLO, 1) }
    #expect(mean == [5, 5, 5], "a refused call leaves results alone")
    var handle: OpaquePointer?
    expectRefusal(rg_estimator_create("midpont", &handle), RG_INVALID_ARGUMENT, "did you mean 'midpoint'")
    expectRefusal(rg_estimator_create(nil, &handle), RG_INVALID_ARGUMENT, "specification")
    expectRefusal(rg_problem_masked(problem.handle, "papier", 0.1, &handle), RG_INVALID_ARGUMENT, "reference-code")
    expectRefusal(rg_problem_masked(problem.handle, "paper", -1, &handle), RG_INVALID_ARGUMENT, "at least 0")
    #expect(handle == nil && rg_problem_experts(nil) == 0)
    rg_problem_destroy(nil)
    rg_estimator_destroy(nil)
    rg_outcomes_destroy(nil)
  }
}

extension [Double] {
  /// Room for a result that nobody reads; never freed.
  fileprivate var mutable: UnsafeMutablePointer<Double> {
    let buffer = UnsafeMutablePointer<Double>.allocate(capacity: count)
    buffer.initialize(from: self, count: count)
    return buffer
  }
}
