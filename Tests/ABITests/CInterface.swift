import CRouteGrad
import RouteGradABI
import Testing

/// A failure of the C interface, as a test sees it.
struct CFailure: Error, Equatable {
  var status: rg_status
  var message: String
}

/// What the last failure on this thread had to say.
func lastError() -> String { rg_last_error().map { String(cString: $0) } ?? "" }

/// Throws unless a call succeeded.
func require(_ status: rg_status) throws {
  if status != RG_OK { throw CFailure(status: status, message: lastError()) }
}

/// Expects a refusal with a status, and a message that holds `part`.
func expectRefusal(
  _ status: rg_status, _ expected: rg_status, _ part: String, sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(status == expected, "\(lastError())", sourceLocation: sourceLocation)
  #expect(
    lastError().contains(part), "expected “\(part)” in: \(lastError())", sourceLocation: sourceLocation)
  #expect(!lastError().contains { $0.isNewline }, sourceLocation: sourceLocation)
}

/// A problem handle. It is never destroyed: Swift may end an object before C has read the handle taken from it, and what destroying
/// gives back is measured elsewhere (the example under valgrind, Tests/PythonTests/leak_check.py).
final class CProblem: @unchecked Sendable {
  let handle: OpaquePointer
  let experts: Int

  init(_ make: (UnsafeMutablePointer<OpaquePointer?>) -> rg_status) throws {
    var result: OpaquePointer?
    try require(make(&result))
    handle = try #require(result)
    experts = rg_problem_experts(handle)
  }

  convenience init(json: String) throws {
    try self.init { rg_problem_from_json(json, json.utf8.count, $0) }
  }

  func masked(_ rule: String, _ threshold: Double) throws -> CProblem {
    try CProblem { rg_problem_masked(handle, rule, threshold, $0) }
  }

  func target(_ id: String) throws -> [Double] {
    var gradient = [Double](repeating: 0, count: experts)
    try require(rg_target(handle, id, &gradient, experts))
    return gradient
  }

  func moments(_ estimator: CEstimator, options: rg_options? = nil) throws -> CMoments {
    var result = CMoments(experts: experts)
    let status =
      if var options {
        rg_moments(
          handle, estimator.handle, &options, &result.mean, &result.variance, &result.covariance, experts, &result.info)
      } else {
        rg_moments(
          handle, estimator.handle, nil, &result.mean, &result.variance, &result.covariance, experts, &result.info)
      }
    try require(status)
    return result
  }
}

/// What `rg_moments` writes.
struct CMoments {
  var mean: [Double]
  var variance: [Double]
  var covariance: [Double]
  var info = rg_moments_info()

  init(experts: Int) {
    mean = [Double](repeating: -1, count: experts)
    variance = mean
    covariance = [Double](repeating: -1, count: experts * experts)
  }
}

/// An estimator handle, likewise.
final class CEstimator: @unchecked Sendable {
  let handle: OpaquePointer

  init(_ specification: String) throws {
    var result: OpaquePointer?
    try require(rg_estimator_create(specification, &result))
    handle = try #require(result)
  }
}

/// The macro RG_OPTIONS_INIT, which Swift does not import.
func standardOptions() -> rg_options {
  rg_options(
    size: MemoryLayout<rg_options>.size, method: RG_METHOD_AUTO, tolerance: 1e-10, samples: 100_000, seed: 0, threads: 1
  )
}

/// Problem files for tests.
enum Samples {
  static let mixture = """
    {"schema": "routegrad.problem/1", "kind": "mixture", "logits": [0.3, -1.2, 0.8],
     "expertOutputs": [[0.1, 0.2], [1.0, -0.4], [0.0, 0.3]], "scale": [1.0, 1.5],
     "defaultOutputs": [[0.1, 0.1], [0.8, -0.2], [0.1, 0.2]],
     "loss": {"type": "log-cosh", "scales": [1.0, 2.0], "targets": [0.5, -0.5]}}
    """
  static let categorical = """
    {"schema": "routegrad.problem/1", "kind": "categorical", "logits": [0.3, -1.2, 0.8],
     "objective": {"type": "softmax-cross-entropy", "weights": [[1, 2, 3], [3, 4, 5.5]], "biases": [0, 0.1], "label": 1}}
    """
}

/// The arrays of a mixture problem, for as long as they are lent to C.
struct MixtureArrays {
  var logits: [Double] = [0.3, -1.2, 0.8]
  var outputs: [Double] = [0.1, 0.2, 1.0, -0.4, 0.0, 0.3]
  var scale: [Double] = [1.0, 1.5]
  var defaults: [Double] = [0.1, 0.1, 0.8, -0.2, 0.1, 0.2]

  /// Lends them.
  func lend<Result>(_ body: (rg_mixture) throws -> Result) rethrows -> Result {
    try logits.withUnsafeBufferPointer { logits in
      try outputs.withUnsafeBufferPointer { outputs in
        try scale.withUnsafeBufferPointer { scale in
          try defaults.withUnsafeBufferPointer { defaults in
            var mixture = rg_mixture()
            mixture.size = MemoryLayout<rg_mixture>.size
            mixture.experts = logits.count
            mixture.width = scale.count
            mixture.logits = logits.baseAddress
            mixture.expert_outputs = outputs.baseAddress
            mixture.scale = scale.baseAddress
            mixture.default_outputs = defaults.baseAddress
            return try body(mixture)
          }
        }
      }
    }
  }
}
