import CRouteGrad
import Dispatch
import Synchronization
import Testing
import _TestSupport

/// Handles that were destroyed, destroyed twice, or are of another kind: refused or ignored, never followed.
struct HandleTests {
  /// A handle of every kind, with what destroys it.
  private static func make() throws -> [(kind: String, handle: OpaquePointer?, destroy: (OpaquePointer?) -> Void)] {
    let problem = try #require(CProblem(json: Samples.mixture).copy())
    var estimator: OpaquePointer?
    try require(rg_estimator_create("conventional", &estimator))
    var outcomes: OpaquePointer?
    try require(rg_outcomes_create(problem, estimator, &outcomes))
    var test: OpaquePointer?
    try require(rg_test_create(problem, estimator, nil, nil, &test))
    var report: OpaquePointer?
    var samples = rg_samples()
    samples.size = MemoryLayout<rg_samples>.size
    (samples.count, samples.experts) = (1, 3)
    try [0.0, 0, 0].withUnsafeBufferPointer { numbers in
      samples.gradient = numbers.baseAddress
      try require(rg_test_feed(test, &samples, nil))
    }
    try require(rg_test_verdict(test, nil, &report))
    return [
      ("problem", problem, rg_problem_destroy), ("estimator", estimator, rg_estimator_destroy),
      ("outcomes", outcomes, rg_outcomes_destroy), ("test", test, rg_test_destroy),
      ("report", report, rg_report_destroy),
    ]
  }

  /// Uses a handle as each kind, and says as which kinds it was taken.
  private static func kindsTaken(_ handle: OpaquePointer?) throws -> [String] {
    let (problem, estimator) = (try CProblem(json: Samples.mixture), try CEstimator("conventional"))
    var numbers = [0.0, 0, 0]
    var shape = rg_outcomes_shape()
    var other: OpaquePointer?
    let taken = [
      ("problem", rg_target(handle, "expected-loss", &numbers, 3) == RG_OK),
      ("problem", rg_problem_masked(handle, "none", 0, &other) == RG_OK),
      ("problem", rg_problem_experts(handle) != 0),
      ("problem", String(cString: rg_problem_kind(handle)) != ""),
      ("estimator", rg_moments(problem.handle, handle, nil, nil, nil, nil, 3, nil) == RG_OK),
      ("outcomes", rg_outcomes_describe(handle, &shape) == RG_OK),
      ("test", rg_test_verdict(handle, nil, nil) == RG_OK),
      ("report", String(cString: rg_report_text(handle)) != ""),
      ("report", String(cString: rg_report_json(handle)) != ""),
    ]
    rg_problem_destroy(other)
    _ = estimator
    return taken.filter(\.1).map(\.0)
  }

  @Test func kindsAreNotMixedUp() throws {
    let handles = try Self.make()
    for (kind, handle, _) in handles {
      #expect(Set(try Self.kindsTaken(handle)) == [kind])
      for (other, _, destroy) in handles where other != kind { destroy(handle) }
      #expect(Set(try Self.kindsTaken(handle)) == [kind], "what destroys another kind leaves it alone")
    }
    for (_, handle, destroy) in handles { destroy(handle) }
  }

  @Test func destroyedOnesAreRefused() throws {
    for (kind, handle, destroy) in try Self.make() {
      destroy(handle)
      #expect(try Self.kindsTaken(handle) == [], "\(kind)")
      destroy(handle)
      destroy(handle)
    }
    var numbers = [0.0, 0, 0]
    expectRefusal(
      rg_target(OpaquePointer(bitPattern: 0xdead_beef), "expected-loss", &numbers, 3), RG_INVALID_ARGUMENT,
      "problem: expected a handle of its kind")
  }

  /// Threads that use a handle while another destroys it get their result or a refusal.
  @Test func destroyingWhatIsInUse() throws {
    let estimator = try CEstimator("reinforce:baseline=optimal")
    let odd = Atomic(0)
    for _ in 0..<200 {
      let problem = try #require(CProblem(json: Samples.mixture).copy())
      let number = UInt(bitPattern: problem)
      DispatchQueue.concurrentPerform(iterations: 4) { thread in
        let handle = OpaquePointer(bitPattern: number)
        if thread == 3 {
          rg_problem_destroy(handle)
        } else {
          let status = rg_moments(handle, estimator.handle, nil, nil, nil, nil, 3, nil)
          if status != RG_OK && status != RG_INVALID_ARGUMENT { odd.add(1, ordering: .relaxed) }
        }
      }
    }
    #expect(odd.load(ordering: .relaxed) == 0)
  }

}

extension CProblem {
  /// A handle of the caller's own.
  fileprivate func copy() -> OpaquePointer? {
    var result: OpaquePointer?
    return rg_problem_masked(handle, "none", 0, &result) == RG_OK ? result : nil
  }
}
