// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CRouteGrad
import RouteGrad

/// Makes a handle of what `body` makes.
func makingProblem(
  _ result: UnsafeMutablePointer<OpaquePointer?>?,
  _ body: () throws(Failure) -> (problem: RoutingProblem, function: CallerFunction?)
) -> rg_status {
  reporting { () throws(Failure) in
    let result = try required(result, "problem")
    let (problem, function) = try body()
    result.pointee = handle(try ProblemHandle(problem, function: function))
  }
}

extension ProblemHandle {
  /// Routes a problem without a mask, or with the one that its table holds for.
  convenience init(_ problem: RoutingProblem, function: CallerFunction? = nil) throws(Failure) {
    do throws(InvalidInput) {
      self.init(try RoutedProblem(problem, mask: problem.fixedMask ?? .none), function: function)
    } catch {
      throw Failure(error)
    }
  }
}

// MARK: - From JSON

@c @implementation
public func rg_problem_from_json(
  _ json: UnsafePointer<CChar>?, _ length: Int, _ problem: UnsafeMutablePointer<OpaquePointer?>?
) -> rg_status {
  makingProblem(problem) { () throws(Failure) in
    let problems = try filedProblems(json, length)
    guard problems.count == 1 else {
      throw Failure(RG_INVALID_DATA, "problems: expected one problem, got \(problems.count)")
    }
    return (problems[0].problem, nil)
  }
}

@c @implementation
public func rg_problems_from_json(
  _ json: UnsafePointer<CChar>?, _ length: Int, _ problems: UnsafeMutablePointer<OpaquePointer?>?, _ capacity: Int,
  _ count: UnsafeMutablePointer<Int>?
) -> rg_status {
  reporting { () throws(Failure) in
    let count = try required(count, "count")
    let filed = try filedProblems(json, length)
    guard filed.count <= capacity else {
      count.pointee = filed.count
      throw Failure(RG_BUFFER_TOO_SMALL, "problems: expected room for \(filed.count) handles, got \(capacity)")
    }
    let results = try required(problems, "problems")
    var objects: [ProblemHandle] = []
    for problem in filed { objects.append(try ProblemHandle(problem.problem)) }
    for (k, object) in objects.enumerated() { results[k] = handle(object) }
    count.pointee = filed.count
  }
}

private func filedProblems(_ json: UnsafePointer<CChar>?, _ length: Int) throws(Failure) -> [FiledProblem] {
  let bytes = try bytes(json, length, "json")
  do throws(Refusal) {
    return try ProblemFile.problems(of: bytes, file: "")
  } catch {
    throw Failure(RG_INVALID_DATA, error.description)
  }
}

// MARK: - Masks, questions, the end

@c @implementation
public func rg_problem_masked(
  _ problem: OpaquePointer?, _ rule: UnsafePointer<CChar>?, _ threshold: Double,
  _ masked: UnsafeMutablePointer<OpaquePointer?>?
) -> rg_status {
  reporting { () throws(Failure) in
    let result = try required(masked, "masked")
    let problem: ProblemHandle = try object(problem, "problem")
    let mask = try readMask(rule, threshold, "mask")
    do throws(InvalidInput) {
      let routed = try RoutedProblem(problem.routed.problem, mask: mask)
      result.pointee = handle(ProblemHandle(routed, function: problem.function))
    } catch {
      throw .argument(error.description)
    }
  }
}

@c @implementation
public func rg_problem_experts(_ problem: OpaquePointer?) -> Int {
  guard let problem = try? object(problem, "problem", as: ProblemHandle.self) else { return 0 }
  return problem.routed.experts
}

@c @implementation
public func rg_problem_kind(_ problem: OpaquePointer?) -> UnsafePointer<CChar>? {
  guard let problem = try? object(problem, "problem", as: ProblemHandle.self) else { return StaticText.empty }
  switch problem.routed.kind {
  case .categorical: return StaticText.categorical
  case .mixture: return StaticText.mixture
  }
}

@c @implementation
public func rg_problem_probabilities(
  _ problem: OpaquePointer?, _ probabilities: UnsafeMutablePointer<Double>?, _ experts: Int
) -> rg_status {
  reporting { () throws(Failure) in
    let problem: ProblemHandle = try object(problem, "problem")
    try problem.requireExperts(experts)
    let result = try required(probabilities, "probabilities")
    copy(problem.routed.distribution.probabilities, to: result, count: experts)
  }
}

@c @implementation
public func rg_problem_destroy(_ problem: OpaquePointer?) { release(problem, as: ProblemHandle.self) }
