// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CRouteGrad
import RouteGrad

@c @implementation
public func rg_sample(
  _ problem: OpaquePointer?, _ estimator: OpaquePointer?, _ seed: UInt64, _ threads: Int, _ count: Int,
  _ gradients: UnsafeMutablePointer<Double>?, _ experts: Int
) -> rg_status {
  reporting { () throws(Failure) in
    let problem: ProblemHandle = try object(problem, "problem")
    let estimator = try object(estimator, "estimator", as: EstimatorHandle.self).estimator
    let threads = problem.threads(try checkedThreads(threads, "threads"))
    try problem.requireExperts(experts)
    let buffer = UnsafeMutableBufferPointer(
      start: try required(gradients, "gradients"), count: try extent(count, "gradients", width: experts))
    try problem.computing { () throws(Failure) in
      do throws(Unavailable) {
        try MonteCarlo.sample(
          estimator, on: problem.routed, sampling: .init(samples: count, seed: seed, threads: threads), into: buffer
        ) { _ in problem.goesOn }
      } catch {
        throw Failure(error, estimator.specification)
      }
    }
    guard buffer.allSatisfy(\.isFinite) else {
      throw Failure(RG_OVERFLOW, "\(estimator.specification): a sample overflows Float64")
    }
  }
}
