import CRouteGrad
import Dispatch
import Synchronization
import Testing
import _TestSupport

/// A loss ½‖y‖² as a C function; what it does besides is chosen by its context.
private final class Loss: Sendable {
  let calls = Atomic(0)
  let failsAt: Int
  let status: Int32
  let value: Double

  init(failsAt: Int = .max, status: Int32 = 0, value: Double = .nan) {
    self.failsAt = failsAt
    self.status = status
    self.value = value
  }

  static let function: rg_function = { context, point, width, value, gradient in
    guard let context, let point, let value, let gradient else { return -1 }
    let loss = Unmanaged<Loss>.fromOpaque(context).takeUnretainedValue()
    value.pointee = 0
    for j in 0..<width {
      gradient[j] = point[j]
      value.pointee += 0.5 * point[j] * point[j]
    }
    guard loss.calls.add(1, ordering: .relaxed).newValue >= loss.failsAt else { return 0 }
    if loss.status == 0 { gradient[width - 1] = loss.value }
    return loss.status
  }

  func problem() throws -> CProblem {
    try MixtureArrays().lend { mixture in
      var mixture = mixture
      return try CProblem {
        rg_mixture_with_function(&mixture, Self.function, Unmanaged.passRetained(self).toOpaque(), $0)
      }
    }
  }
}

struct CallerFunctionTests {
  private static let quadratic = """
    {"schema": "routegrad.problem/1", "kind": "mixture", "logits": [0.3, -1.2, 0.8],
     "expertOutputs": [[0.1, 0.2], [1.0, -0.4], [0.0, 0.3]], "scale": [1.0, 1.5],
     "defaultOutputs": [[0.1, 0.1], [0.8, -0.2], [0.1, 0.2]],
     "loss": {"type": "quadratic", "matrix": [[1, 0], [0, 1]], "linear": [0, 0]}}
    """

  @Test func isTheSameAsABuiltInLoss() throws {
    let loss = Loss()
    let own = try loss.problem()
    let filed = try CProblem(json: Self.quadratic)
    let known = try EstimatorSpecifications.all.filter {
      try EstimatorSpecifications.finite($0).claims.kinds.contains(.mixture)
    }
    for specification in known + ["switch", "gumbel-softmax-st"] {
      let estimator = try CEstimator(specification)
      let (a, b) = (try own.moments(estimator), try filed.moments(estimator))
      for (x, y) in zip(a.mean + a.covariance, b.mean + b.covariance) {
        #expect((x - y).magnitude <= 1e-9, "\(specification)")
      }
    }
    for target in ["expected-loss", "routing-term", "gating-term", "dense-mixture", "dense-backward"] {
      for (x, y) in zip(try own.target(target), try filed.target(target)) { #expect((x - y).magnitude <= 1e-15) }
    }
    #expect(loss.calls.load(ordering: .relaxed) > 0)
  }

  @Test(arguments: ["midpoint", "gumbel-softmax", "gumbel-softmax-st", "switch", "reinforce", "sparsemixer-v2-top2"])
  func failuresStopTheCalls(specification: String) throws {
    let estimator = try CEstimator(specification)
    for failsAt in [1, 2, 5] {
      for (loss, status, part) in [
        (Loss(failsAt: failsAt, status: 7), RG_CALLBACK_FAILED, "status 7"),
        (Loss(failsAt: failsAt, value: .nan), RG_CALLBACK_NOT_FINITE, "gradient[1] = nan"),
        (Loss(failsAt: failsAt, value: .infinity), RG_CALLBACK_NOT_FINITE, "gradient[1] = inf"),
      ] {
        let problem = try loss.problem()
        expectRefusal(
          rg_moments(problem.handle, estimator.handle, nil, nil, nil, nil, 3, nil), status, part)
        #expect(loss.calls.load(ordering: .relaxed) == failsAt, "it was called again after it failed")
      }
    }
  }

  @Test func failuresOfEveryFunction() throws {
    let loss = Loss(failsAt: 1, status: 3)
    let problem = try loss.problem()
    let estimator = try CEstimator("gumbel-softmax")
    var numbers = [Double](repeating: 0, count: 3)
    var handle: OpaquePointer?
    expectRefusal(rg_expected_loss(problem.handle, &numbers), RG_CALLBACK_FAILED, "loss function")
    expectRefusal(rg_target(problem.handle, "dense-mixture", &numbers, 3), RG_CALLBACK_FAILED, "loss function")
    expectRefusal(
      rg_outcomes_create(problem.handle, try CEstimator("midpoint").handle, &handle), RG_CALLBACK_FAILED, "loss")
    expectRefusal(rg_sample(problem.handle, estimator.handle, 0, 2, 1, &numbers, 3), RG_CALLBACK_FAILED, "loss")
    expectRefusal(
      rg_assess(
        problem.handle, estimator.handle, "expected-loss", nil, nil, nil, nil, nil, nil, 3, nil, nil),
      RG_CALLBACK_FAILED, "loss")
    #expect(handle == nil)
  }

  /// A function that calls the library, and one that fails within the computation of one that does not.
  @Test func mayCallTheLibrary() throws {
    let outer: rg_function = { context, point, width, value, gradient in
      guard let context, let gradient else { return -1 }
      let inner = Unmanaged<CProblem>.fromOpaque(context).takeUnretainedValue()
      var numbers = [Double](repeating: 0, count: 3)
      let status = rg_target(inner.handle, "expected-loss", &numbers, 3)
      value?.pointee = 1
      for j in 0..<width { gradient[j] = 0 }
      return status == RG_CALLBACK_FAILED ? 0 : 9
    }
    let inner = try Loss(failsAt: 1, status: 1).problem()
    let logits = [0.1, 0.2]
    let problem = try CProblem {
      rg_categorical_with_function(logits, 2, outer, Unmanaged.passRetained(inner).toOpaque(), $0)
    }
    #expect(try problem.target("expected-loss") == [0, 0])
  }

  @Test func eightThreadsAgreeWithOne() throws {
    let own = try Loss().problem()
    let filed = try CProblem(json: Samples.mixture)
    let specifications = ["sparsemixer", "reinforce:baseline=optimal", "gumbel-softmax-st", "midpoint"]
    let estimators = try specifications.map { try CEstimator($0) }
    let serial = try estimators.map { [try own.moments($0).covariance, try filed.moments($0).covariance] }
    let differences = Atomic(0)
    DispatchQueue.concurrentPerform(iterations: 8) { thread in
      for round in 0..<50 {
        let k = (thread + round) % estimators.count
        let covariances = [own, filed].map { try? $0.moments(estimators[k]).covariance }
        if covariances != serial[k] { differences.add(1, ordering: .relaxed) }
        if rg_estimator_create("nobody\(thread)", nil) == RG_OK || !lastError().contains("estimator") {
          differences.add(1, ordering: .relaxed)
        }
      }
    }
    #expect(differences.load(ordering: .relaxed) == 0)
  }
}

/// Interruptions that the caller asks for.
struct InterruptionTests {
  /// Says no at the n-th question, counted by its context.
  private static let countdown: rg_interruption = { context in
    guard let left = context?.assumingMemoryBound(to: Int.self) else { return 1 }
    left.pointee -= 1
    return left.pointee < 0 ? 1 : 0
  }

  /// Runs `body` with so many questions answered with yes; how many were asked.
  private func interrupting(after yes: Int, _ body: () throws -> Void) rethrows -> Int {
    let left = UnsafeMutablePointer<Int>.allocate(capacity: 1)
    left.initialize(to: yes)
    rg_set_interruption(Self.countdown, left)
    defer {
      rg_set_interruption(nil, nil)
      left.deallocate()
    }
    try body()
    return yes - left.pointee
  }

  @Test(arguments: ["sparsemixer", "gumbel-softmax", "switch", "sparsemixer-v2-top2"], [0, 1, 3])
  func samplingEnds(specification: String, yes: Int) throws {
    let problem = try CProblem(json: Samples.mixture)
    let estimator = try CEstimator(specification)
    var options = standardOptions()
    (options.method, options.samples) = (RG_METHOD_MONTE_CARLO, 1_000_000_000)
    try expectEnd(problem, estimator, options, target: "gating-term", after: yes)
    var samples = [Double](repeating: 0, count: 3 << 18)
    let sampled = try interrupting(after: yes) {
      expectRefusal(
        rg_sample(problem.handle, estimator.handle, 0, 1, 1 << 18, &samples, 3), RG_INTERRUPTED, "interrupted")
    }
    #expect(sampled == yes + 1)
    _ = try problem.moments(try CEstimator("midpoint"))
  }

  @Test(arguments: ["gumbel-softmax", "gumbel-softmax-st", "gumbel-rao", "reinmax-rao", "switch"], [0, 1])
  func integralsEnd(specification: String, yes: Int) throws {
    let problem = try CProblem(json: Samples.mixture)
    let estimator = try CEstimator(specification)
    var options = standardOptions()
    options.method = RG_METHOD_AUTO
    try expectEnd(problem, estimator, options, target: "expected-loss", after: yes)
  }

  /// Moments and assessment are given up once they are told to, and leave nothing written.
  private func expectEnd(
    _ problem: CProblem, _ estimator: CEstimator, _ options: rg_options, target: String, after yes: Int
  ) throws {
    var options = options
    var mean = [5.0, 5, 5]
    let asked = try interrupting(after: yes) {
      expectRefusal(
        rg_moments(problem.handle, estimator.handle, &options, &mean, nil, nil, 3, nil), RG_INTERRUPTED, "interrupted")
    }
    #expect(asked == yes + 1 && mean == [5, 5, 5])
    let assessed = try interrupting(after: yes) {
      expectRefusal(
        rg_assess(problem.handle, estimator.handle, target, &options, nil, nil, nil, nil, nil, 3, nil, nil),
        RG_INTERRUPTED, "interrupted")
    }
    #expect(assessed == yes + 1)
  }

  @Test func callersFunctionsAreNotCalledAfterwards() throws {
    let loss = Loss()
    let problem = try loss.problem()
    var gradient = [0.0, 0, 0]
    let asked = try interrupting(after: 2) {
      expectRefusal(rg_target(problem.handle, "expected-loss", &gradient, 3), RG_INTERRUPTED, "interrupted")
    }
    #expect(asked == 3 && loss.calls.load(ordering: .relaxed) == 2)
    try require(rg_target(problem.handle, "expected-loss", &gradient, 3))
  }

  @Test func routersAreNotAskedAfterwards() {
    let silent: rg_router = { _, _, _, _ in nil }
    let asked = interrupting(after: 0) {
      expectRefusal(rg_lint(silent, nil, 4, 1, 0, nil, nil), RG_INTERRUPTED, "interrupted")
    }
    #expect(asked == 1)
    expectRefusal(rg_lint(silent, nil, 4, 1, 0, nil, nil), RG_CALLBACK_FAILED, "the router function failed")
  }

  @Test func otherThreadsAreNotAsked() throws {
    let problem = try CProblem(json: Samples.mixture)
    let estimator = try CEstimator("gumbel-softmax")
    let statuses = Mutex<[rg_status]>([])
    let asked = interrupting(after: 0) {
      let thread = DispatchQueue(label: "another")
      let group = DispatchGroup()
      thread.async(group: group) {
        var options = standardOptions()
        options.method = RG_METHOD_MONTE_CARLO
        let status = rg_moments(problem.handle, estimator.handle, &options, nil, nil, nil, 3, nil)
        statuses.withLock { $0.append(status) }
      }
      group.wait()
    }
    #expect(asked == 0 && statuses.withLock { $0 } == [RG_OK])
  }
}
