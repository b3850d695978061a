// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CRouteGrad
import RouteGrad
import Synchronization

/// What `rg_assessor` points to: a target, and what was seen so far.
final class AssessorHandle: Sendable {
  let problem: ProblemHandle
  let target: GradientTarget
  let gradient: [Double]
  let options: SampleAssessment.Options
  private let state: Mutex<State>

  private struct State {
    /// Whether samples are outcomes; nil before the first.
    var areOutcomes: Bool?
    var assessor: SampleAssessor
    var outcomes: [ForeignOutcome] = []
  }

  init(
    _ target: GradientTarget, gradient: [Double], on problem: ProblemHandle, options: SampleAssessment.Options
  ) {
    (self.target, self.gradient, self.problem, self.options) = (target, gradient, problem, options)
    state = Mutex(State(assessor: SampleAssessor(against: target, gradient: gradient)))
  }

  func feed(_ samples: ForeignSamples) throws(Failure) {
    try state.withLock { (state) throws(Failure) in
      let areOutcomes = samples.shape.areOutcomes
      guard state.areOutcomes ?? areOutcomes == areOutcomes else {
        throw .argument("samples: expected probabilities as in the assessor's first samples")
      }
      if areOutcomes {
        guard state.outcomes.count + samples.outcomes.count <= Verification.mostOutcomes else {
          throw Failure(RG_INVALID_DATA, "samples: expected at most \(Verification.mostOutcomes) outcomes, got more")
        }
        state.outcomes += samples.outcomes
      } else {
        state.assessor.add(samples.gradients)
      }
      state.areOutcomes = areOutcomes
    }
  }

  /// What was added so far.
  func assessment() throws(Failure) -> SampleAssessment {
    let state = state.withLock { $0 }
    do {
      if state.areOutcomes ?? false {
        try SampleAssessment.requireDistribution(state.outcomes, name: "samples")
        return try SampleAssessment(of: state.outcomes, against: target, gradient: gradient)
      }
      guard state.assessor.count >= 2 else {
        throw Refusal(.wrongData, "samples: expected at least 2 samples, got \(state.assessor.count)")
      }
      return try state.assessor.assessment(options)
    } catch let overflow as Overflow {
      throw Failure(RG_OVERFLOW, overflow.description)
    } catch {
      throw Failure(RG_INVALID_DATA, "\(error)")
    }
  }
}

@c @implementation
public func rg_assessor_create(
  _ problem: OpaquePointer?, _ target: UnsafePointer<CChar>?, _ options: UnsafePointer<rg_assessor_options>?,
  _ assessor: UnsafeMutablePointer<OpaquePointer?>?
) -> rg_status {
  reporting { () throws(Failure) in
    let problem: ProblemHandle = try object(problem, "problem")
    let result = try required(assessor, "assessor")
    let target = try RouteGradABI.target(target)
    var (asked, draws, subsets) = (SampleAssessment.Options(), 1, SubsetLaw?.none)
    if let options = options?.pointee {
      try requireSize(options.size, of: rg_assessor_options.self, "options")
      try SampleAssessment.Options.confidenceLimit.check("options.confidence", options.confidence)
      try SampleAssessment.Options.drawsLimit.check("options.draws", Int(clamping: options.draws))
      draws = Int(options.draws)
      if options.draws_of != nil {
        guard draws == 1 else { throw .argument("options.draws_of: says the same as options.draws") }
        let name = try text(options.draws_of, "options.draws_of")
        do throws(InvalidEstimator) {
          let claims = try EstimatorRegistry.estimator(name).claims
          (draws, subsets) = (claims.draws, claims.subsets)
        } catch {
          throw .argument("options.draws_of: \(error)")
        }
      }
      asked = SampleAssessment.Options(
        confidence: options.confidence, seed: options.seed,
        threads: try checkedThreads(options.threads, "options.threads"))
    }
    let gradient = try problem.computing { () throws(Failure) in
      do throws(Unavailable) {
        return try target.gradient(of: problem.routed, draws: draws, subsets: subsets)
      } catch {
        throw Failure(error, "the target \(target.rawValue)")
      }
    }
    guard gradient.allSatisfy(\.isFinite) else {
      throw Failure(RG_OVERFLOW, "the target \(target.rawValue) overflows Float64")
    }
    result.pointee = handle(AssessorHandle(target, gradient: gradient, on: problem, options: asked))
  }
}

@c @implementation
public func rg_assessor_feed(_ assessor: OpaquePointer?, _ samples: UnsafePointer<rg_samples>?) -> rg_status {
  reporting { () throws(Failure) in
    let assessor: AssessorHandle = try object(assessor, "assessor")
    try assessor.feed(try ForeignSamples(samples, on: assessor.problem))
  }
}

@c @implementation
public func rg_assessor_report(
  _ assessor: OpaquePointer?, _ estimators: UnsafePointer<CChar>?, _ report: UnsafeMutablePointer<OpaquePointer?>?
) -> rg_status {
  reporting { () throws(Failure) in
    let assessor: AssessorHandle = try object(assessor, "assessor")
    let result = try required(report, "report")
    var listed: [any GradientEstimator] = []
    if estimators != nil {
      let list = try text(estimators, "estimators")
      do throws(InvalidEstimator) {
        listed = try EstimatorRegistry.estimators(list: list)
      } catch {
        throw .argument(error.description)
      }
    }
    let assessment = try assessor.assessment()
    let problem = assessor.problem
    let words = try problem.computing { () throws(Failure) in
      do throws(Refusal) {
        return try AssessmentReport(
          assessment, on: problem.routed, beside: listed, threads: problem.threads(assessor.options.threads),
          continuing: { problem.goesOn })
      } catch {
        throw Failure(error.code == .interrupted ? RG_INTERRUPTED : RG_OVERFLOW, error.description)
      }
    }
    result.pointee = handle(
      ReportHandle(text: words.rendered(as: .table), json: words.json))
  }
}

@c @implementation
public func rg_assessor_destroy(_ assessor: OpaquePointer?) { release(assessor, as: AssessorHandle.self) }
